#include "lib/store/backup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/store/sqlite_connection.h"
#include "lib/store/sqlite_store.h"
#include "lib/store/store_testing.h"

namespace certwright::store {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kOwner[] = "certwright-test";

class BackupTest : public testing::Test {
 protected:
  BackupTest() {
    std::string pattern = absl::StrCat(testing::TempDir(), "/backup_XXXXXX");
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ + "/test.db";
    backup_ = folder_ + "/it's a backup.db";
  }
  ~BackupTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Open(const std::string& owner = kOwner) {
    store_.reset();
    CW_ASSERT_OK_AND_ASSIGN(store_, OpenSqliteStore(path_, {.owner = owner}));
  }
  // `values` of "k0", "k1" …
  void PutAll(const std::vector<std::string>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      CW_ASSERT_OK(Put(*store_, absl::StrCat("k", i), values[i]));
    }
  }
  absl::Status Restore(bool replace = false, absl::Time now = absl::Now()) {
    RestoreOptions options;
    options.owner = kOwner;
    options.replace = replace;
    options.now = now;
    return RestoreStore(backup_, path_, options).status();
  }
  void RemoveStore() {
    store_.reset();
    for (const char* suffix : {"", "-wal", "-shm"}) unlink((path_ + suffix).c_str());
  }

  // As if there had never been a store, nor a backup of one.
  void StartAnew() {
    RemoveStore();
    unlink((path_ + ".lock").c_str());
    unlink(backup_.c_str());
    Open();
  }

  std::string folder_;
  std::string path_;
  std::string backup_;
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(BackupTest, ACopyOfAStoreInUseBringsItBack) {
  Open();
  PutAll({"a", "b", "c"});
  CW_ASSERT_OK_AND_ASSIGN(const BackupReport report, BackUpStore(path_, backup_, kOwner));
  EXPECT_EQ(report.records, 3);
  struct stat file {};
  ASSERT_EQ(stat(backup_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  CW_ASSERT_OK(Put(*store_, "k0", "later"));
  RemoveStore();
  CW_ASSERT_OK(Restore());
  Open();
  EXPECT_THAT(Contents(List(*store_, {})->records), ElementsAre("k0=a", "k1=b", "k2=c"));
}

TEST_F(BackupTest, IsOfOneMomentWhileOthersWrite) {
  Open();
  CW_ASSERT_OK(Commit(*store_, {Mutation::Put("a", "-"), Mutation::Put("b", "-")}));
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; !done; ++i) {
      const std::string value = absl::StrCat(i);
      CW_ASSERT_OK(Commit(*store_, {Mutation::Put("a", value), Mutation::Put("b", value),
                                    Mutation::Put("filler", std::string(20'000, 'f'))}));
    }
  });
  for (int round = 0; round < 5; ++round) {
    const std::string file = absl::StrCat(backup_, round);
    CW_EXPECT_OK(BackUpStore(path_, file, kOwner));
    const auto copy = SqliteConnection::Open(file);
    EXPECT_EQ((*copy)
                  ->ReadInt("SELECT count(DISTINCT value) FROM records WHERE "
                            "CAST(key AS TEXT) IN ('a', 'b')")
                  .value_or(-1),
              1);
  }
  done = true;
  writer.join();
}

TEST_F(BackupTest, RevisionsOfTheLostTimeAreTooOld) {
  Open();
  PutAll({"a", "b"});
  CW_ASSERT_OK(BackUpStore(path_, backup_, kOwner));
  CW_ASSERT_OK_AND_ASSIGN(const int64_t lost, Put(*store_, "k0", "lost"));
  RemoveStore();
  CW_ASSERT_OK(Restore());
  Open();
  for (int i = 0; i < 5; ++i) CW_ASSERT_OK(Put(*store_, "k1", absl::StrCat("new", i)));
  for (const int64_t from : {int64_t{1}, lost, lost + 3}) {
    WatchLog log;
    const auto watch = store_->Watch("", from, log.Callback());
    EXPECT_THAT(log.WaitFor(1), ElementsAre("end OUT_OF_RANGE")) << from;
    EXPECT_THAT(List(*store_, {.at_revision = from}), StatusIs(absl::StatusCode::kOutOfRange));
  }
  EXPECT_THAT(Put(*store_, "k0", "x", lost), StatusIs(absl::StatusCode::kAborted));
  // A watch from what a list says now works.
  CW_ASSERT_OK_AND_ASSIGN(const ListResult now, List(*store_, {}));
  WatchLog log;
  const auto watch = store_->Watch("", now.revision, log.Callback());
  CW_ASSERT_OK(Put(*store_, "k0", "seen"));
  EXPECT_THAT(log.WaitFor(2), testing::Contains("~k0=seen"));
}

// Both go on from the same backup; what was seen of the first must not be taken for the second.
TEST_F(BackupTest, TwoRestoresOfOneBackupShareNoRevision) {
  Open();
  PutAll({"a"});
  CW_ASSERT_OK(BackUpStore(path_, backup_, kOwner));
  store_.reset();
  const absl::Time first = absl::FromUnixSeconds(1'800'000'000);
  CW_ASSERT_OK(Restore(true, first));
  Open();
  CW_ASSERT_OK_AND_ASSIGN(const int64_t seen, Put(*store_, "k0", "first"));
  RemoveStore();
  CW_ASSERT_OK(Restore(false, first + absl::Seconds(1)));
  Open();
  CW_ASSERT_OK_AND_ASSIGN(const int64_t again, Put(*store_, "k0", "second"));
  EXPECT_GT(again, seen + 30'000);
  EXPECT_THAT(List(*store_, {.at_revision = seen}), StatusIs(absl::StatusCode::kOutOfRange));
  // A clock that was set back does not matter while the store that is replaced can be read.
  store_.reset();
  CW_ASSERT_OK(Restore(true, first - absl::Hours(1)));
  Open();
  EXPECT_GT(*Put(*store_, "k0", "third"), again);
}

// The clock was set back, and of the store that was lost only the backup is left.
TEST_F(BackupTest, RevisionsGoOnAfterThoseOfTheBackupWhateverTheClockSays) {
  Open();
  PutAll({"a"});
  CW_ASSERT_OK(BackUpStore(path_, backup_, kOwner));
  store_.reset();
  const absl::Time later = absl::FromUnixSeconds(2'000'000'000);
  CW_ASSERT_OK(Restore(true, later));
  Open();
  CW_ASSERT_OK_AND_ASSIGN(const int64_t last, Put(*store_, "k0", "b"));
  unlink(backup_.c_str());
  CW_ASSERT_OK_AND_ASSIGN(const BackupReport report, BackUpStore(path_, backup_, kOwner));
  EXPECT_EQ(report.revision, last);
  RemoveStore();
  CW_ASSERT_OK(Restore(false, later - absl::Hours(1)));
  Open();
  CW_ASSERT_OK_AND_ASSIGN(const int64_t next, Put(*store_, "k0", "c"));
  EXPECT_GT(next, last);
  EXPECT_THAT(List(*store_, {.at_revision = last}), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_F(BackupTest, AStoreIsReplacedOnlyWhenToldTo) {
  Open();
  PutAll({"backed up"});
  CW_ASSERT_OK(BackUpStore(path_, backup_, kOwner));
  PutAll({"now"});
  EXPECT_THAT(Restore(true), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("pid")))
      << "while it is open";
  store_.reset();
  EXPECT_THAT(Restore(), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--replace")));
  Open();
  EXPECT_EQ(ValueOf(*store_, "k0"), "now");
  store_.reset();
  CW_ASSERT_OK(Restore(true));
  Open();
  EXPECT_EQ(ValueOf(*store_, "k0"), "backed up");
}

// SQLite would apply it to the file that was put in place.
TEST_F(BackupTest, TheLogOfTheReplacedStoreIsNotAppliedToTheNewOne) {
  Open();
  PutAll({"backed up"});
  CW_ASSERT_OK(BackUpStore(path_, backup_, kOwner));
  PutAll({"in the log only"});
  // As after a kill: files with a log that was not folded in.
  std::filesystem::copy_file(path_ + "-wal", folder_ + "/log");
  std::filesystem::copy_file(path_, folder_ + "/file");
  store_.reset();
  std::filesystem::rename(folder_ + "/file", path_);
  std::filesystem::rename(folder_ + "/log", path_ + "-wal");
  CW_ASSERT_OK(Restore(true));
  Open();
  EXPECT_EQ(ValueOf(*store_, "k0"), "backed up");
}

// Then nothing opens the old store, which would fold its log in.
TEST_F(BackupTest, TheLogOfAStoreThatIsMissingOrEmptyIsNotAppliedToTheNewOne) {
  for (const bool empty : {false, true}) {
    StartAnew();
    PutAll({"backed up"});
    CW_ASSERT_OK(BackUpStore(path_, backup_, kOwner));
    PutAll({"in the log only"});
    std::filesystem::copy_file(path_ + "-wal", folder_ + "/log");
    RemoveStore();
    std::filesystem::rename(folder_ + "/log", path_ + "-wal");
    if (empty) std::ofstream(path_, std::ios::trunc).flush();
    CW_ASSERT_OK(Restore(true));
    EXPECT_FALSE(std::filesystem::exists(path_ + "-wal"));
    Open();
    EXPECT_EQ(ValueOf(*store_, "k0"), "backed up") << empty;
  }
}

// It holds what was stored last.
TEST_F(BackupTest, ALogWithoutItsStoreIsReplacedOnlyWhenToldToEither) {
  for (const bool empty : {false, true}) {
    StartAnew();
    PutAll({"backed up"});
    CW_ASSERT_OK(BackUpStore(path_, backup_, kOwner));
    RemoveStore();
    std::ofstream(path_ + "-wal") << "in the log only";
    if (empty) std::ofstream(path_, std::ios::trunc).flush();
    EXPECT_THAT(Restore(), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("-wal")))
        << empty;
    EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), 15u) << empty;
  }
}

TEST_F(BackupTest, AnExistingBackupIsNotOverwritten) {
  Open();
  PutAll({"a"});
  CW_ASSERT_OK(BackUpStore(path_, backup_, kOwner));
  EXPECT_THAT(BackUpStore(path_, backup_, kOwner),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr(backup_)));
  EXPECT_FALSE(std::filesystem::exists(backup_ + ".new"));
}

TEST_F(BackupTest, WhatIsNotThisServicesStoreIsRefused) {
  Open("certwright-other");
  PutAll({"a"});
  EXPECT_THAT(BackUpStore(path_, backup_, kOwner),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("certwright-other")));
  CW_ASSERT_OK(BackUpStore(path_, backup_, "certwright-other"));
  RemoveStore();
  EXPECT_THAT(Restore(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("certwright-other")));
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".restore"));
}

TEST_F(BackupTest, ADamagedBackupIsRefusedAndTheStoreStays) {
  Open();
  PutAll(std::vector<std::string>(200, std::string(500, 'v')));
  CW_ASSERT_OK(BackUpStore(path_, backup_, kOwner));
  store_.reset();
  const auto size = std::filesystem::file_size(backup_);
  for (const bool cut : {false, true}) {
    if (cut) {
      std::filesystem::resize_file(backup_, size / 2);
    } else {
      std::fstream file(backup_, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(20'000);
      file << std::string(9000, 'x');
    }
    EXPECT_THAT(Restore(true), StatusIs(absl::StatusCode::kDataLoss)) << cut;
  }
  std::ofstream(backup_, std::ios::trunc) << "no database";
  EXPECT_THAT(Restore(true), StatusIs(absl::StatusCode::kDataLoss));
  std::ofstream(backup_, std::ios::trunc).flush();
  EXPECT_THAT(Restore(true), StatusIs(absl::StatusCode::kDataLoss));
  Open();
  EXPECT_EQ(ValueOf(*store_, "k199").size(), 500u);
}

// SQLite itself finds nothing wrong.
TEST_F(BackupTest, ARecordThatHasChangedIsNeitherBackedUpNorRestored) {
  const auto damaged =
      StatusIs(absl::StatusCode::kDataLoss, AllOf(HasSubstr("k1"), HasSubstr("checksum")));
  for (const char* change :
       {"UPDATE records SET value = CAST('w' AS BLOB) WHERE CAST(key AS TEXT) = 'k1'",
        "UPDATE records SET value = x'' WHERE CAST(key AS TEXT) = 'k1'",
        "UPDATE records SET checksum = checksum + 1 WHERE CAST(key AS TEXT) = 'k1'"}) {
    StartAnew();
    PutAll({"a", "b", "c"});
    CW_ASSERT_OK(BackUpStore(path_, backup_, kOwner));
    CW_ASSERT_OK((*SqliteConnection::Open(backup_))->Execute(change));
    CW_ASSERT_OK((*SqliteConnection::Open(path_))->Execute(change));
    EXPECT_THAT(BackUpStore(path_, backup_ + "2", kOwner), damaged) << change;
    EXPECT_FALSE(std::filesystem::exists(backup_ + "2"));
    RemoveStore();
    EXPECT_THAT(Restore(true), damaged) << change;
    EXPECT_FALSE(std::filesystem::exists(path_));
  }
}

TEST_F(BackupTest, WithoutAStoreThereIsNothingToBackUpAndNothingIsMade) {
  EXPECT_THAT(BackUpStore(path_, backup_, kOwner),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(path_)));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace certwright::store
