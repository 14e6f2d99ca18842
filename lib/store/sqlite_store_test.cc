#include "lib/store/sqlite_store.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/base/fake_clock.h"
#include "lib/base/mutex.h"
#include "lib/runtime/thread_pool.h"
#include "lib/store/sqlite_connection.h"
#include "lib/store/store_contract_test.h"

namespace certwright::store {
namespace {

using base::IsOk;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// A folder of its own, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = absl::StrCat(testing::TempDir(), "/sqlite_store_XXXXXX");
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string File() const { return absl::StrCat(path_, "/test.db"); }

 private:
  std::string path_;
};

// A store that takes its folder with it.
std::unique_ptr<Store> MakeStore() {
  static std::vector<std::unique_ptr<TemporaryFolder>>& folders =
      *new std::vector<std::unique_ptr<TemporaryFolder>>();
  folders.clear();
  folders.push_back(std::make_unique<TemporaryFolder>());
  auto store = OpenSqliteStore(folders.back()->File(), {});
  EXPECT_THAT(store, IsOk());
  return store.ok() ? *std::move(store) : nullptr;
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContractTest,
                         testing::Values(StoreBackend{"sqlite", MakeStore}));

class SqliteStoreTest : public testing::Test {
 protected:
  std::unique_ptr<SqliteStore> Open(const SqliteOptions& options = {}) {
    auto store = OpenSqliteStore(folder_.File(), options);
    EXPECT_THAT(store, IsOk());
    return store.ok() ? *std::move(store) : nullptr;
  }

  TemporaryFolder folder_;
};

TEST_F(SqliteStoreTest, ReopeningKeepsRecordsRevisionsAndChanges) {
  int64_t first = 0;
  {
    auto store = Open();
    first = Put(*store, "k/1", "a").value();
    CW_ASSERT_OK(Put(*store, "k/1", "b"));
    CW_ASSERT_OK(Put(*store, "k/2", "c"));
    CW_ASSERT_OK(Delete(*store, "k/2"));
  }
  auto store = Open();
  EXPECT_EQ(ValueOf(*store, "k/1"), "b");
  EXPECT_EQ(Put(*store, "k/3", "d").value(), first + 4);
  WatchLog log;
  const auto watch = store->Watch("k/", first, log.Callback());
  EXPECT_THAT(log.WaitFor(5), ElementsAre("~k/1=b", "+k/2=c", "-k/2=c", "+k/3=d", "bookmark"));
  EXPECT_THAT(Contents(List(*store, {.at_revision = first})->records), ElementsAre("k/1=a"));
}

TEST_F(SqliteStoreTest, FilesAreForTheirOwnerOnly) {
  auto store = Open();
  CW_ASSERT_OK(Put(*store, "k", "v"));
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    struct stat file;
    ASSERT_EQ(stat((folder_.File() + suffix).c_str(), &file), 0) << suffix;
    EXPECT_EQ(file.st_mode & 0777, 0600u) << suffix;
  }
}

// Faults 80, 88 and 89.
TEST_F(SqliteStoreTest, ASecondOpenerIsRefusedAndToldOfTheFirst) {
  auto store = Open();
  EXPECT_THAT(
      OpenSqliteStore(folder_.File(), {}),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr(folder_.File()), HasSubstr(absl::StrCat("pid ", getpid())))));
  store.reset();
  EXPECT_NE(Open(), nullptr);
}

TEST_F(SqliteStoreTest, AFolderThatDoesNotExistIsNamed) {
  EXPECT_THAT(OpenSqliteStore("/nonexistent/x.db", {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/nonexistent/x.db")));
}

TEST_F(SqliteStoreTest, ADamagedFileIsRefusedAndLeftAsItIs) {
  {
    auto store = Open();
    for (int i = 0; i < 200; ++i) {
      CW_ASSERT_OK(Put(*store, absl::StrCat("k", i), std::string(500, 'v')));
    }
  }
  const auto size = std::filesystem::file_size(folder_.File());
  ASSERT_GT(size, 40000u);
  std::fstream file(folder_.File(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(8192);
  file << std::string(20000, 'x');
  file.close();
  EXPECT_THAT(OpenSqliteStore(folder_.File(), {}),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr(folder_.File()), HasSubstr("restore a backup"))));
  EXPECT_EQ(std::filesystem::file_size(folder_.File()), size);
}

TEST_F(SqliteStoreTest, AFileThatIsNoDatabaseIsRefusedAndLeftAsItIs) {
  const std::string text(5000, 'z');
  std::ofstream(folder_.File()) << text;
  EXPECT_THAT(OpenSqliteStore(folder_.File(), {}), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(std::filesystem::file_size(folder_.File()), text.size());
}

TEST_F(SqliteStoreTest, AnEmptiedFileBesideItsLogIsRefused) {
  std::ofstream(folder_.File() + "-wal") << "something";
  EXPECT_THAT(OpenSqliteStore(folder_.File(), {}), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(std::filesystem::file_size(folder_.File() + "-wal"), 9u);
}

TEST_F(SqliteStoreTest, NewerAndForeignFilesAreRefused) {
  Open().reset();
  {
    auto connection = SqliteConnection::Open(folder_.File());
    CW_ASSERT_OK(connection);
    CW_ASSERT_OK((*connection)->Execute("PRAGMA user_version = 99"));
  }
  EXPECT_THAT(OpenSqliteStore(folder_.File(), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("format 99")));
  {
    auto connection = SqliteConnection::Open(folder_.File());
    CW_ASSERT_OK(connection);
    CW_ASSERT_OK((*connection)->Execute("PRAGMA application_id = 7"));
  }
  EXPECT_THAT(OpenSqliteStore(folder_.File(), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another program")));
}

TEST_F(SqliteStoreTest, AStoreThatHasVanishedIsNotMadeAnew) {
  CW_ASSERT_OK(Put(*Open(), "k", "v"));
  const auto vanished =
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr(folder_.File() + ".lock"), HasSubstr("--restore")));
  std::filesystem::resize_file(folder_.File(), 0);
  EXPECT_THAT(OpenSqliteStore(folder_.File(), {}), vanished);
  std::filesystem::remove(folder_.File());
  EXPECT_THAT(OpenSqliteStore(folder_.File(), {}), vanished);
  EXPECT_FALSE(std::filesystem::exists(folder_.File()));
  // A sound SQLite database without anything in it.
  std::ofstream(folder_.File()).flush();
  CW_ASSERT_OK((*SqliteConnection::Open(folder_.File()))->Execute("VACUUM"));
  EXPECT_THAT(OpenSqliteStore(folder_.File(), {}), vanished);
  // What the message says.
  std::filesystem::remove(folder_.File());
  std::filesystem::remove(folder_.File() + ".lock");
  EXPECT_NE(Open(), nullptr);
}

TEST_F(SqliteStoreTest, AMissingStoreBesideItsWitnessIsNotMade) {
  SqliteOptions options;
  options.witness = folder_.File() + ".key";
  EXPECT_NE(Open(options), nullptr);
  std::filesystem::remove(folder_.File());
  std::filesystem::remove(folder_.File() + ".lock");
  std::ofstream(options.witness) << "key";
  EXPECT_THAT(OpenSqliteStore(folder_.File(), options),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(options.witness)));
}

TEST_F(SqliteStoreTest, AStartThatWasCutShortIsNoVanishedStore) {
  // The lock and an empty file are what a kill can leave before anything is stored.
  std::ofstream(folder_.File() + ".lock") << "pid 1\n";
  std::ofstream(folder_.File()).flush();
  auto store = Open();
  ASSERT_NE(store, nullptr);
  CW_EXPECT_OK(Put(*store, "k", "v"));
}

TEST_F(SqliteStoreTest, AStoreOfAnotherServiceIsRefused) {
  Open({.owner = "certwright-order"}).reset();
  EXPECT_THAT(OpenSqliteStore(folder_.File(), {.owner = "certwright-solver"}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("certwright-order"), HasSubstr("certwright-solver"))));
  EXPECT_NE(Open({.owner = "certwright-order"}), nullptr);
}

TEST_F(SqliteStoreTest, AStoreOfTheFirstVersionIsTakenOver) {
  CW_ASSERT_OK(Put(*Open(), "k", "v"));
  {
    auto connection = SqliteConnection::Open(folder_.File());
    CW_ASSERT_OK(connection);
    CW_ASSERT_OK(
        (*connection)
            ->Execute(
                "ALTER TABLE meta DROP COLUMN owner; ALTER TABLE records DROP COLUMN checksum;"
                "ALTER TABLE changes DROP COLUMN previous_checksum; PRAGMA user_version = 1"));
  }
  EXPECT_EQ(ValueOf(*Open({.owner = "certwright-order"}), "k"), "v");
  EXPECT_THAT(OpenSqliteStore(folder_.File(), {.owner = "certwright-solver"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

// Wherever a file is cut off, what is in it is either all there or the store is refused.
TEST_F(SqliteStoreTest, ATruncatedFileIsRefused) {
  {
    auto store = Open();
    for (int i = 0; i < 100; ++i) {
      CW_ASSERT_OK(Put(*store, absl::StrCat("k", i), std::string(500, 'v')));
    }
  }
  const auto size = std::filesystem::file_size(folder_.File());
  const std::string whole = folder_.File() + ".whole";
  std::filesystem::copy_file(folder_.File(), whole);
  for (const auto left : {size - 1, size - 4096, size / 2, uintmax_t{4096}, uintmax_t{100}}) {
    std::filesystem::copy_file(whole, folder_.File(),
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(folder_.File(), left);
    EXPECT_THAT(OpenSqliteStore(folder_.File(), {}),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("--restore")))
        << left;
  }
}

// Whichever bit of the file changes, nothing is read that was not written.
TEST_F(SqliteStoreTest, AFlippedBitIsRefusedOrDoesNoHarm) {
  constexpr int kRecords = 60;
  const auto value = [](int i) { return std::string(400, static_cast<char>('A' + i)); };
  {
    auto store = Open();
    for (int i = 0; i < kRecords; ++i)
      CW_ASSERT_OK(Put(*store, absl::StrCat("k", i), value(i)));
  }
  std::ifstream in(folder_.File(), std::ios::binary);
  const std::string sound((std::istreambuf_iterator<char>(in)), {});
  int refused = 0;
  for (std::size_t at = 17; at < sound.size(); at += sound.size() / 150) {
    std::string flipped = sound;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    std::ofstream(folder_.File(), std::ios::binary) << flipped;
    const auto store = OpenSqliteStore(folder_.File(), {});
    if (!store.ok()) {
      ++refused;
      EXPECT_THAT(store.status().message(), HasSubstr(folder_.File()));
      continue;
    }
    const auto all = List(**store, {});
    if (!all.ok()) continue;
    ASSERT_EQ(all->records.size(), static_cast<std::size_t>(kRecords)) << at;
    for (const Record& record : all->records) {
      EXPECT_EQ(record.value, value(std::stoi(record.key.substr(1)))) << at;
    }
  }
  // Most of the file is what was stored.
  EXPECT_GT(refused, 60);
}

// Stores are read by later versions: CRC-32's check value, of "123456789", is 0xcbf43926.
TEST_F(SqliteStoreTest, ChecksumsAreCrc32OfKeyAndValue) {
  auto store = Open();
  CW_ASSERT_OK(Put(*store, "12345", "v"));
  CW_ASSERT_OK(Put(*store, "123456789", "v"));
  CW_ASSERT_OK((*SqliteConnection::Open(folder_.File()))
                   ->Execute("UPDATE records SET checksum = 3421780262,"
                             " value = CAST(substr('123456789', 1 + length(key)) AS BLOB)"));
  EXPECT_EQ(ValueOf(*store, "12345"), "6789");
  EXPECT_EQ(ValueOf(*store, "123456789"), "");
}

TEST_F(SqliteStoreTest, AValueThatHasChangedUnderARunningStoreIsNotRead) {
  auto store = Open();
  CW_ASSERT_OK(Put(*store, "k", "v"));
  CW_ASSERT_OK((*SqliteConnection::Open(folder_.File()))
                   ->Execute("UPDATE records SET value = CAST('w' AS BLOB)"));
  EXPECT_THAT(Get(*store, "k"),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("checksum"), HasSubstr(folder_.File()))));
  EXPECT_THAT(List(*store, {}), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(Delete(*store, "k"), IsOk());
}

// What was there before is kept with the checksum that it was written with.
TEST_F(SqliteStoreTest, AValueThatHadChangedIsNotReadFromTheLogOfChangesEither) {
  auto store = Open();
  CW_ASSERT_OK_AND_ASSIGN(const int64_t first, Put(*store, "k", "v"));
  CW_ASSERT_OK((*SqliteConnection::Open(folder_.File()))
                   ->Execute("UPDATE records SET value = CAST('w' AS BLOB)"));
  CW_ASSERT_OK(Put(*store, "k", "x"));
  CW_ASSERT_OK(Delete(*store, "k"));
  // So that nothing is shown from memory.
  store.reset();
  store = Open();
  EXPECT_THAT(List(*store, {.at_revision = first}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("checksum")));
  WatchLog damaged;
  WatchLog sound;
  const auto watch1 = store->Watch("", 0, damaged.Callback());
  const auto watch2 = store->Watch("", first, sound.Callback());
  EXPECT_THAT(damaged.WaitFor(1), ElementsAre("end DATA_LOSS"));
  EXPECT_THAT(sound.WaitFor(3), ElementsAre("~k=x", "-k=x", "bookmark"));
}

TEST_F(SqliteStoreTest, ManyWritersShareTransactions) {
  auto store = Open();
  constexpr int kCommits = 500;
  runtime::ThreadPool pool(1);
  // Submitted together from one coroutine, so they queue while the first is being synced.
  auto write_all = [](Store& target) -> runtime::Awaitable<bool> {
    std::vector<runtime::Awaitable<absl::StatusOr<int64_t>>> writes;
    for (int i = 0; i < kCommits; ++i) {
      writes.push_back(target.Put(TestContext(), absl::StrCat("k", i), "v"));
    }
    const auto results = co_await runtime::WhenAll(std::move(writes));
    co_return std::all_of(results.begin(), results.end(),
                          [](const auto& result) { return result.ok(); });
  };
  EXPECT_TRUE(runtime::RunSyncOn<bool>(pool.executor(), write_all(*store)));
  EXPECT_EQ(store->stats().commits, kCommits);
  EXPECT_LT(store->stats().transactions, kCommits / 4);
  EXPECT_EQ(List(*store, {})->records.size(), static_cast<std::size_t>(kCommits));
}

// Writes numbered keys and reports each on `pipe` once it is acknowledged, until killed.
[[noreturn]] void WriteUntilKilled(const std::string& path, int pipe) {
  auto store = OpenSqliteStore(path, {});
  if (!store.ok()) _exit(1);
  for (int32_t i = 0;; ++i) {
    if (!Put(**store, absl::StrCat("k", i), std::string(1000, 'v')).ok()) _exit(2);
    if (write(pipe, &i, sizeof(i)) != sizeof(i)) _exit(3);
  }
}

TEST_F(SqliteStoreTest, WhatWasAcknowledgedSurvivesAKill) {
  for (int round = 1; round <= 3; ++round) {
    TemporaryFolder folder;
    int pipes[2];
    ASSERT_EQ(pipe(pipes), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) WriteUntilKilled(folder.File(), pipes[1]);
    close(pipes[1]);
    int32_t last = -1;
    int32_t number = 0;
    while (read(pipes[0], &number, sizeof(number)) == sizeof(number)) {
      last = number;
      if (last == 100 * round) kill(child, SIGKILL);
    }
    close(pipes[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    auto store = OpenSqliteStore(folder.File(), {});
    CW_ASSERT_OK(store);
    for (int32_t i = 0; i <= last; ++i) {
      ASSERT_THAT(Get(**store, absl::StrCat("k", i)), IsOk());
    }
    CW_EXPECT_OK(Put(**store, "after", "v"));
  }
}

TEST_F(SqliteStoreTest, AFullStoreSaysSoAndReadsAndGoesOnWithMoreRoom) {
  {
    auto store = Open({.max_pages = 40});
    absl::Status status;
    int written = 0;
    while (status.ok() && written < 1000) {
      status = Put(*store, absl::StrCat("k", written), std::string(3000, 'v')).status();
      if (status.ok()) ++written;
    }
    EXPECT_THAT(status,
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr(folder_.File())));
    EXPECT_EQ(List(*store, {})->records.size(), static_cast<std::size_t>(written));
    EXPECT_EQ(Await(store->CurrentRevision(TestContext())).value(), written);
  }
  auto store = Open();
  CW_EXPECT_OK(Put(*store, "more", std::string(30000, 'v')));
}

TEST_F(SqliteStoreTest, RecoversByItselfWhenTheDiskDoes) {
  auto store = Open();
  CW_ASSERT_OK(Put(*store, "before", "v"));
  ASSERT_NE(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  rlimit old_limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  rlimit tiny = old_limit;
  tiny.rlim_cur = std::filesystem::file_size(folder_.File() + "-wal");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tiny), 0);
  const auto failed = Put(*store, "during", std::string(100000, 'v'));
  const auto read = ValueOf(*store, "before");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  EXPECT_THAT(failed, StatusIs(absl::StatusCode::kUnavailable, HasSubstr(folder_.File())));
  EXPECT_EQ(read, "v");
  CW_EXPECT_OK(Put(*store, "after", std::string(100000, 'v')));
  EXPECT_EQ(ValueOf(*store, "during"), "NOT_FOUND");
  store.reset();
  EXPECT_EQ(ValueOf(*Open(), "after").size(), 100000u);
}

TEST_F(SqliteStoreTest, SaysWhetherItCanBeWrittenAndTriesByItself) {
  StorageHealth health;
  base::Mutex mutex;
  std::vector<std::string> told;
  std::condition_variable_any changed;
  health.Listen([&](const absl::Status& status) {
    base::MutexLock lock(mutex);
    told.push_back(absl::StatusCodeToString(status.code()));
    changed.notify_all();
  });
  auto store = Open({.health = &health});
  CW_ASSERT_OK(Put(*store, "before", "v"));
  ASSERT_NE(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  rlimit old_limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  rlimit tiny = old_limit;
  tiny.rlim_cur = std::filesystem::file_size(folder_.File() + "-wal");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tiny), 0);
  const auto failed = Put(*store, "during", std::string(100000, 'v'));
  const absl::Status noted = health.status();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  EXPECT_THAT(failed, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(noted, failed.status());
  base::MutexLock lock(mutex);
  EXPECT_TRUE(
      changed.wait_for(mutex, std::chrono::seconds(30), [&] { return told.size() == 3; }));
  EXPECT_THAT(told, ElementsAre("OK", "UNAVAILABLE", "OK"));
}

// A clock in which the writer's thread waits, the first time that it looks.
class HeldClock final : public base::Clock {
 public:
  absl::Time Now() const override {
    if (!held_.exchange(true)) {
      reached_.set_value();
      go_on_.get_future().wait();
    }
    return Real().Now();
  }
  base::MonotonicTime MonotonicNow() const override { return Real().MonotonicNow(); }

  void WaitUntilHeld() { reached_.get_future().wait(); }
  runtime::Awaitable<absl::StatusOr<int64_t>> LetGo() {
    go_on_.set_value();
    co_return 0;
  }

 private:
  mutable std::atomic<bool> held_ = false;
  mutable std::promise<void> reached_;
  mutable std::promise<void> go_on_;
};

TEST_F(SqliteStoreTest, ACommitThatSpoilsItsTransactionFailsAlone) {
  HeldClock clock;
  auto store = Open({.max_pages = 60, .clock = &clock});
  std::thread first([&store] { CW_EXPECT_OK(Put(*store, "first", "v")); });
  clock.WaitUntilHeld();
  // All are in the queue before the writer looks at it again.
  auto write_group =
      [](Store& target,
         HeldClock& held) -> runtime::Awaitable<std::vector<absl::StatusOr<int64_t>>> {
    std::vector<runtime::Awaitable<absl::StatusOr<int64_t>>> writes;
    writes.push_back(target.Put(TestContext(), "a", "v"));
    writes.push_back(target.Put(TestContext(), "large", std::string(500'000, 'v')));
    writes.push_back(target.Put(TestContext(), "b", "v"));
    writes.push_back(target.Put(TestContext(), "first", "w", int64_t{1}));
    writes.push_back(target.Put(TestContext(), "b", "w", int64_t{1}));
    writes.push_back(held.LetGo());
    co_return co_await runtime::WhenAll(std::move(writes));
  };
  runtime::ThreadPool pool(1);
  const auto results = runtime::RunSyncOn<std::vector<absl::StatusOr<int64_t>>>(
      pool.executor(), write_group(*store, clock));
  first.join();
  EXPECT_THAT(results[0], IsOk());
  EXPECT_THAT(results[1], StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(results[2], IsOk());
  EXPECT_THAT(results[3], IsOk());
  EXPECT_THAT(results[4], StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(Contents(List(*store, {})->records), ElementsAre("a=v", "b=v", "first=w"));
  EXPECT_EQ(Await(store->CurrentRevision(TestContext())).value(), 4);
}

TEST_F(SqliteStoreTest, AFullDiskHasToHaveRoomForMoreThanTheTry) {
  constexpr int64_t kRoom = 1 << 20;
  StorageHealth health;
  base::Mutex mutex;
  std::condition_variable_any changed;
  int64_t free = 0;
  std::vector<int64_t> asked;
  bool writable = true;
  health.Listen([&](const absl::Status& status) {
    base::MutexLock lock(mutex);
    writable = status.ok();
    changed.notify_all();
  });
  auto store = Open({.max_pages = 40, .health = &health, .free_bytes = [&] {
                       base::MutexLock lock(mutex);
                       asked.push_back(free);
                       changed.notify_all();
                       return free;
                     }});
  absl::Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i) {
    status = Put(*store, absl::StrCat("k", i), std::string(3000, 'v')).status();
  }
  ASSERT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
  for (const int64_t bytes : {int64_t{1}, kRoom - 1}) {
    base::MutexLock lock(mutex);
    free = bytes;
    // Who asks again has not gone on after the time before.
    EXPECT_TRUE(changed.wait_for(mutex, std::chrono::seconds(30), [&] {
      return writable || std::count(asked.begin(), asked.end(), bytes) == 2;
    }));
    EXPECT_FALSE(writable) << bytes;
  }
  base::MutexLock lock(mutex);
  free = kRoom;
  EXPECT_TRUE(changed.wait_for(mutex, std::chrono::seconds(30), [&] { return writable; }));
}

TEST_F(SqliteStoreTest, AScrubIsNotDoneWhileAReaderKeepsWhatWas) {
  auto store = Open();
  CW_ASSERT_OK(Put(*store, "k", "secret of before"));
  CW_ASSERT_OK_AND_ASSIGN(const auto reader, SqliteConnection::Open(folder_.File()));
  CW_ASSERT_OK(reader->Execute("BEGIN"));
  CW_ASSERT_OK(reader->ReadInt("SELECT count(*) FROM records"));
  CW_ASSERT_OK(Put(*store, "k", "sealed"));
  EXPECT_THAT(Await(store->Scrub(TestContext())),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr(folder_.File()), HasSubstr("a reader"))));
  CW_ASSERT_OK(reader->Execute("COMMIT"));
  CW_EXPECT_OK(Await(store->Scrub(TestContext())));
  for (const char* suffix : {"", "-wal"}) {
    std::ifstream in(folder_.File() + suffix, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    EXPECT_THAT(bytes, Not(HasSubstr("secret of before"))) << suffix;
  }
}

TEST_F(SqliteStoreTest, KeepsOnlyTheNewestRevisionsForWatches) {
  auto store = Open({.keep_revisions = 10});
  for (int i = 0; i < 50; ++i) CW_ASSERT_OK(Put(*store, "k", absl::StrCat(i)));
  EXPECT_THAT(List(*store, {.at_revision = 39}), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(Contents(List(*store, {.at_revision = 40})->records), ElementsAre("k=39"));
  WatchLog log;
  const auto watch = store->Watch("", 40, log.Callback());
  EXPECT_EQ(log.WaitFor(11).size(), 11u);
  WatchLog early;
  const auto early_watch = store->Watch("", 39, early.Callback());
  EXPECT_THAT(early.WaitFor(1), ElementsAre("end OUT_OF_RANGE"));
}

// Fault 121.
TEST_F(SqliteStoreTest, DropsOldChangesWithTheNextWrite) {
  base::FakeClock clock;
  auto store = Open({.keep_age = absl::Minutes(10), .clock = &clock});
  for (int i = 1; i <= 5; ++i) CW_ASSERT_OK(Put(*store, "k", absl::StrCat(i)));
  clock.Advance(absl::Minutes(9));
  CW_ASSERT_OK(Put(*store, "k", "6"));
  CW_EXPECT_OK(List(*store, {.at_revision = 1}));
  clock.Advance(absl::Minutes(2));
  CW_ASSERT_OK(Put(*store, "k", "7"));
  // The oldest that is not there any more, the newest of them, and one that never was.
  for (const int revision : {1, 4, 99}) {
    const absl::Status dropped = List(*store, {.at_revision = revision}).status();
    EXPECT_THAT(dropped, StatusIs(absl::StatusCode::kOutOfRange,
                                  HasSubstr(absl::StrCat("revision ", revision, " "))));
    EXPECT_THAT(dropped.message(), Not(HasSubstr("/"))) << "where it is on disk is for nobody";
  }
  EXPECT_THAT(Contents(List(*store, {.at_revision = 5})->records), ElementsAre("k=5"));
  EXPECT_EQ(ValueOf(*store, "k"), "7");
}

// Of the log of changes, in bytes.
int64_t LogSize(const std::string& path) {
  const auto connection = SqliteConnection::Open(path);
  return (*connection)
      ->ReadInt("SELECT ifnull(sum(length(previous_value)), 0) FROM changes")
      .value();
}

TEST_F(SqliteStoreTest, TheChangeLogAndTheFileAreBoundedByBytes) {
  constexpr int64_t kKeepBytes = 1024 * 1024;
  {
    auto store = Open({.keep_bytes = kKeepBytes});
    for (int i = 0; i < 200; ++i) {
      CW_ASSERT_OK(Put(*store, "k", std::string(100'000, static_cast<char>('a' + i % 26))));
    }
    EXPECT_LE(LogSize(folder_.File()), kKeepBytes);
    EXPECT_GT(LogSize(folder_.File()), kKeepBytes / 2);
    EXPECT_THAT(List(*store, {.at_revision = 150}), StatusIs(absl::StatusCode::kOutOfRange));
    CW_EXPECT_OK(List(*store, {.at_revision = 195}));
    WatchLog behind;
    const auto watch = store->Watch("", 150, behind.Callback());
    EXPECT_THAT(behind.WaitFor(1), ElementsAre("end OUT_OF_RANGE"));
  }
  // Pages that the log has left are used again.
  EXPECT_LT(std::filesystem::file_size(folder_.File()), 4u * kKeepBytes);
}

TEST_F(SqliteStoreTest, TheBytesOfTheChangeLogAreKnownAfterAStart) {
  constexpr int64_t kKeepBytes = 1024 * 1024;
  {
    auto store = Open();
    for (int i = 0; i < 50; ++i) CW_ASSERT_OK(Put(*store, "k", std::string(100'000, 'v')));
    EXPECT_GT(LogSize(folder_.File()), 4 * kKeepBytes);
  }
  auto store = Open({.keep_bytes = kKeepBytes});
  CW_ASSERT_OK(Put(*store, "k", "v"));
  EXPECT_LE(LogSize(folder_.File()), kKeepBytes);
}

// Many small changes must not keep a few large ones from being dropped in time.
TEST_F(SqliteStoreTest, LargeChangesAfterManySmallOnesStayBounded) {
  constexpr int64_t kKeepBytes = 1024 * 1024;
  auto store = Open({.keep_bytes = kKeepBytes});
  std::vector<Mutation> small;
  for (std::size_t i = 0; i < kMaxMutations; ++i) {
    small.push_back(Mutation::Put(absl::StrCat("k", i), "v"));
  }
  for (int i = 0; i < 40; ++i) CW_ASSERT_OK(Commit(*store, small));
  for (int i = 0; i < 30; ++i) {
    CW_ASSERT_OK(Put(*store, "large", std::string(500'000, 'v')));
    EXPECT_LE(LogSize(folder_.File()), kKeepBytes + 500'000);
  }
}

TEST_F(SqliteStoreTest, AFileThatIsMostlyFreeShrinksAtAStart) {
  {
    auto store = Open();
    for (int i = 0; i < 80; ++i) {
      CW_ASSERT_OK(Put(*store, absl::StrCat("k", i), std::string(1'000'000, 'v')));
    }
    for (int i = 0; i < 80; ++i) CW_ASSERT_OK(Delete(*store, absl::StrCat("k", i)));
    CW_ASSERT_OK(Put(*store, "kept", "v"));
    CW_ASSERT_OK(Await(store->Compact(TestContext(), 161)));
  }
  EXPECT_GT(std::filesystem::file_size(folder_.File()), 64u << 20);
  EXPECT_EQ(ValueOf(*Open(), "kept"), "v");
  EXPECT_LT(std::filesystem::file_size(folder_.File()), 1u << 20);
}

Mutation ByUser(std::string key, std::string value) {
  Mutation mutation = Mutation::Put(std::move(key), std::move(value));
  mutation.writer = Writer::kUser;
  return mutation;
}

TEST_F(SqliteStoreTest, QuotasRefuseUsersAndNotServices) {
  const auto refused = StatusIs(
      absl::StatusCode::kResourceExhausted,
      AllOf(HasSubstr("namespace web may have 2 objects"), HasSubstr("namespaceObjects")));
  const SqliteOptions options{.quotas = {.namespace_objects = 2}};
  {
    auto store = Open(options);
    CW_ASSERT_OK(Commit(*store, {ByUser("a/web/1", "v")}));
    CW_ASSERT_OK(Commit(*store, {ByUser("b/web/2", "v")}));
    EXPECT_THAT(Commit(*store, {ByUser("a/web/3", "v")}), refused);
    EXPECT_EQ(ValueOf(*store, "a/web/3"), "NOT_FOUND");
    CW_EXPECT_OK(Commit(*store, {ByUser("a/other/1", "v")}));
    CW_EXPECT_OK(Put(*store, "a/web/3", "a service's"));
    CW_EXPECT_OK(Commit(*store, {ByUser("a/web/1", "longer")}));
    EXPECT_THAT(Commit(*store, {ByUser("a/web/4", "v")}), refused);
    CW_ASSERT_OK(Delete(*store, "a/web/1"));
    EXPECT_THAT(Commit(*store, {ByUser("a/web/4", "v")}), refused);
  }
  auto store = Open(options);
  EXPECT_THAT(Commit(*store, {ByUser("a/web/4", "v")}), refused);
  CW_ASSERT_OK(Delete(*store, "a/web/3"));
  CW_EXPECT_OK(Commit(*store, {ByUser("a/web/4", "v")}));
}

TEST_F(SqliteStoreTest, WhatAServiceKeepsForItselfTakesNoRoomFromUsers) {
  auto store = Open({.quotas = {.namespace_objects = 1, .uncounted_prefix = "limitrecords/"}});
  CW_ASSERT_OK(Put(*store, "limitrecords/web/1", "v"));
  CW_ASSERT_OK(Put(*store, "limitrecords/web/1", "longer"));
  CW_EXPECT_OK(Commit(*store, {ByUser("a/web/1", "v")}));
  // Nor does it give them any.
  CW_ASSERT_OK(Delete(*store, "limitrecords/web/1"));
  EXPECT_THAT(Commit(*store, {ByUser("a/web/2", "v")}),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(SqliteStoreTest, QuotasAreExactHoweverManyWriteAtOnce) {
  auto store = Open({.quotas = {.namespace_objects = 50}});
  std::atomic<int> made = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 25; ++i) {
          made += Commit(*store, {ByUser(absl::StrCat("a/web/", t, "-", i), "v")}).ok() ? 1 : 0;
        }
      });
    }
  }
  EXPECT_EQ(made, 50);
  EXPECT_EQ(List(*store, {.prefix = "a/web/"})->records.size(), 50u);
}

TEST_F(SqliteStoreTest, WhatADiskHasRefusedCountsTowardsNoQuota) {
  const SqliteOptions options{.quotas = {.namespace_bytes = 300'000}, .max_pages = 100};
  auto store = Open(options);
  for (int i = 0; i < 20; ++i) {
    const auto put = Put(*store, absl::StrCat("a/web/", i), std::string(500'000, 'v'));
    EXPECT_THAT(put, StatusIs(absl::StatusCode::kResourceExhausted));
  }
  CW_EXPECT_OK(Commit(*store, {ByUser("a/web/1", std::string(100'000, 'v'))}));
}

TEST_F(SqliteStoreTest, CompactsMoreThanOneStepInOneCall) {
  auto store = Open();
  std::vector<Mutation> mutations;
  for (std::size_t i = 0; i < kMaxMutations; ++i) {
    mutations.push_back(Mutation::Put(absl::StrCat("k", i), "v"));
  }
  for (int i = 0; i < 20; ++i) CW_ASSERT_OK(Commit(*store, mutations));
  CW_ASSERT_OK(Await(store->Compact(TestContext(), 20)));
  EXPECT_THAT(List(*store, {.at_revision = 19}), StatusIs(absl::StatusCode::kOutOfRange));
  store.reset();
  auto connection = SqliteConnection::Open(folder_.File());
  CW_ASSERT_OK(connection);
  EXPECT_EQ((*connection)->ReadInt("SELECT count(*) FROM changes").value(), 0);
}

TEST_F(SqliteStoreTest, AWatchReadsTheLogInChunksOfBytes) {
  auto store = Open();
  constexpr int kCommits = 60;
  for (int i = 0; i < kCommits; ++i) {
    CW_ASSERT_OK(Put(*store, absl::StrCat("k", i), std::string(500'000, 'v')));
  }
  base::Mutex mutex;
  std::condition_variable_any changed;
  std::size_t largest = 0;
  int events = 0;
  const auto watch = store->Watch("", 0, [&](WatchUpdate update) {
    std::size_t bytes = 0;
    for (const Event& event : update.events) bytes += SizeOf(event.record);
    base::MutexLock lock(mutex);
    largest = std::max(largest, bytes);
    events += static_cast<int>(update.events.size());
    changed.notify_all();
  });
  base::MutexLock lock(mutex);
  EXPECT_TRUE(
      changed.wait_for(mutex, std::chrono::seconds(60), [&] { return events == kCommits; }));
  EXPECT_LE(largest, 2'000'000u);
}

TEST_F(SqliteStoreTest, AWatcherFarBehindIsServedFromTheChangeLog) {
  auto store = Open();
  std::vector<Mutation> mutations;
  for (std::size_t i = 0; i < 100; ++i) {
    mutations.push_back(Mutation::Put(absl::StrCat("k", i), std::string(20000, 'v')));
  }
  WatchLog log;
  base::Mutex slow;
  slow.Lock();
  const WatchCallback callback = log.Callback();
  const auto watch = store->Watch("", 0, [&](WatchUpdate update) {
    base::MutexLock lock(slow);
    callback(std::move(update));
  });
  // More than is kept in memory, while the watcher is stuck in its first call.
  for (int i = 0; i < 15; ++i) CW_EXPECT_OK(Commit(*store, mutations));
  slow.Unlock();
  log.WaitFor(1501);
  const std::vector<int64_t> revisions = log.revisions();
  EXPECT_EQ(revisions.size(), 1500u);
  EXPECT_TRUE(std::is_sorted(revisions.begin(), revisions.end()));
}

}  // namespace
}  // namespace certwright::store
