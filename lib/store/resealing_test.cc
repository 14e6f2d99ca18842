#include "lib/store/resealing.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boost/asio/post.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/mutex.h"
#include "lib/base/random.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/thread_pool.h"
#include "lib/store/mortal_store.h"
#include "lib/store/resource_store.h"
#include "lib/store/sealed_record.h"
#include "lib/store/sqlite_store.h"
#include "lib/store/store_testing.h"
#include "lib/store/widget.pb.h"

namespace certwright::store {
namespace {

using base::StatusIs;
using testing::Contains;
using testing::HasSubstr;
using Box = ::certwright::widget::Box;

constexpr char kPlain[] = "what nobody may read on the disk";

std::unique_ptr<SealingCodec> Codec(const std::string& fills) {
  std::vector<SealingKey> keys;
  for (const char fill : fills) keys.emplace_back(base::Secret(std::string(32, fill)));
  return std::make_unique<SealingCodec>(std::move(keys));
}

class ResealingTest : public testing::Test {
 protected:
  ResealingTest() {
    std::string pattern = absl::StrCat(testing::TempDir(), "/resealing_XXXXXX");
    folder_ = mkdtemp(pattern.data());
    Open();
  }
  ~ResealingTest() override {
    pool_.Stop();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Open() {
    store_.reset();
    store_ = OpenSqliteStore(folder_ + "/test.db", {}).value();
  }
  void PutSealed(const SealingCodec& codec, const std::string& key) {
    CW_ASSERT_OK(Put(*store_, key, *codec.Seal(key, kPlain)));
  }
  absl::Status Reseal(const SealingCodec& codec, Store& store) {
    Resealing resealing(store, "secrets/", codec, pool_.executor(), *timers_,
                        [this](int64_t left) { left_ = left; });
    return Await(resealing.Run(TestContext()));
  }
  // Whether any file of the store holds these bytes.
  bool OnDisk(absl::string_view bytes) const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string content((std::istreambuf_iterator<char>(file)), {});
      if (absl::StrContains(content, bytes)) return true;
    }
    return false;
  }
  bool SealedWith(const std::string& key, char fill) {
    const std::string stored = ValueOf(*store_, key);
    return IsSealed(stored) && ParseSealedRecord(stored)->key_id ==
                                   SealingKey(base::Secret(std::string(32, fill))).id();
  }

  runtime::ThreadPool pool_{1};
  std::unique_ptr<runtime::Timers> timers_ =
      runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real());
  std::string folder_;
  std::unique_ptr<SqliteStore> store_;
  std::atomic<int64_t> left_{-1};
};

TEST_F(ResealingTest, SealedResourcesAreNowhereOnDiskInTheClear) {
  const auto codec = Codec("a");
  ResourceStore<Box> boxes(*store_, "secrets", base::Clock::Real(), base::Random::Real(),
                           codec.get());
  Box box;
  box.mutable_metadata()->set_namespace_("web");
  box.mutable_metadata()->set_name("b");
  (*box.mutable_data())["k"] = kPlain;
  CW_ASSERT_OK_AND_ASSIGN(box, Await(boxes.Create(TestContext(), box)));
  (*box.mutable_data())["k"] = absl::StrCat(kPlain, ", changed");
  CW_ASSERT_OK(Await(boxes.Update(TestContext(), box)));
  CW_ASSERT_OK(Await(boxes.Delete(TestContext(), "web", "b")));
  EXPECT_FALSE(OnDisk(kPlain));
}

TEST_F(ResealingTest, AfterARotationTheOldKeyIsNotNeeded) {
  for (int i = 0; i < 10; ++i) PutSealed(*Codec("a"), absl::StrCat("secrets/web/", i));
  const auto both = Codec("ba");
  CW_ASSERT_OK(Reseal(*both, *store_));
  const auto fresh = Codec("b");
  CW_ASSERT_OK_AND_ASSIGN(const ListResult all, List(*store_, {.prefix = "secrets/"}));
  EXPECT_EQ(all.records.size(), 10u);
  for (const Record& record : all.records) CW_EXPECT_OK(fresh->Open(record.key, record.value));
  EXPECT_FALSE(OnDisk(SealingKey(base::Secret(std::string(32, 'a'))).id()));
}

TEST_F(ResealingTest, ARecordThatIsNotSealedIsLeftAsItIsAndNothingIsNoted) {
  CW_ASSERT_OK(Put(*store_, "secrets/web/a", kPlain));
  PutSealed(*Codec("a"), "secrets/web/b");
  const auto codec = Codec("ba");
  EXPECT_THAT(Reseal(*codec, *store_), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(ValueOf(*store_, "secrets/web/a"), kPlain);
  EXPECT_TRUE(SealedWith("secrets/web/b", 'b'));
  EXPECT_EQ(ValueOf(*store_, kSealingNote), "NOT_FOUND");
}

TEST_F(ResealingTest, ANoteThatAnotherHasWrittenHidesNothing) {
  PutSealed(*Codec("a"), "secrets/web/a");
  const auto both = Codec("ba");
  CW_ASSERT_OK(Put(
      *store_, kSealingNote,
      absl::StrCat(absl::BytesToHexString(both->current_key_id()), " ", std::string(64, '0'))));
  CW_ASSERT_OK(Reseal(*both, *store_));
  EXPECT_TRUE(SealedWith("secrets/web/a", 'b'));
  EXPECT_EQ(ValueOf(*store_, kSealingNote), both->Note());
}

TEST_F(ResealingTest, WhatOneRunHasNotDoneTheNextDoes) {
  for (int i = 0; i < 20; ++i) PutSealed(*Codec("a"), absl::StrCat("secrets/web/", i));
  const auto both = Codec("ba");
  {
    MortalStore mortal(*store_);
    mortal.DieAtCommit(7, true);
    Resealing resealing(mortal, "secrets/", *both, pool_.executor(), *timers_, [](int64_t) {});
    runtime::SpawnThen<absl::Status>(pool_.executor(), resealing.Run(TestContext()),
                                     [](const absl::Status&) {});
    ASSERT_TRUE(mortal.WaitUntilDead());
    pool_.Stop();
  }
  int old = 0;
  for (int i = 0; i < 20; ++i) old += SealedWith(absl::StrCat("secrets/web/", i), 'a') ? 1 : 0;
  EXPECT_EQ(old, 13);
  EXPECT_EQ(ValueOf(*store_, kSealingNote), "NOT_FOUND");
  CW_ASSERT_OK(Reseal(*both, *store_));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(SealedWith(absl::StrCat("secrets/web/", i), 'b'));
}

TEST_F(ResealingTest, ARecordThatChangesMeanwhileKeepsTheChange) {
  PutSealed(*Codec("a"), "secrets/web/a");
  const auto both = Codec("ba");
  MortalStore store(*store_);
  store.BeforeNextCommit([&] {
    CW_ASSERT_OK(Put(*store_, "secrets/web/a", *both->Seal("secrets/web/a", "changed")));
  });
  CW_ASSERT_OK(Reseal(*both, store));
  EXPECT_EQ(both->Open("secrets/web/a", ValueOf(*store_, "secrets/web/a"))->Reveal(),
            "changed");
  EXPECT_EQ(left_, 0);
}

TEST_F(ResealingTest, ARecordDeletedMeanwhileStaysDeleted) {
  PutSealed(*Codec("a"), "secrets/web/a");
  PutSealed(*Codec("a"), "secrets/web/b");
  const auto both = Codec("ba");
  MortalStore store(*store_);
  store.BeforeNextCommit([&] { CW_ASSERT_OK(Delete(*store_, "secrets/web/a")); });
  CW_ASSERT_OK(Reseal(*both, store));
  EXPECT_EQ(ValueOf(*store_, "secrets/web/a"), "NOT_FOUND");
  EXPECT_TRUE(SealedWith("secrets/web/b", 'b'));
}

TEST_F(ResealingTest, AllPagesAreSurveyedAndSealedAgain) {
  // Of 100 records each; of the last page one is left.
  constexpr int kRecords = 201;
  std::vector<Mutation> puts;
  for (int i = 0; i < kRecords; ++i) {
    const std::string key = absl::StrCat("secrets/web/", i);
    puts.push_back(Mutation::Put(key, *Codec("a")->Seal(key, kPlain)));
    if (puts.size() < kMaxMutations && i + 1 < kRecords) continue;
    CW_ASSERT_OK(Commit(*store_, std::exchange(puts, {})));
  }
  const auto both = Codec("ba");
  CW_ASSERT_OK_AND_ASSIGN(const SealingSurvey survey,
                          Await(SurveySealing(TestContext(), *store_, "secrets/", both.get())));
  EXPECT_EQ(survey.Others(both->current_key_id()), kRecords);
  CW_ASSERT_OK(Reseal(*both, *store_));
  for (int i = 0; i < kRecords; ++i) {
    EXPECT_TRUE(SealedWith(absl::StrCat("secrets/web/", i), 'b')) << i;
  }
}

// A store whose first scrubs cannot be made.
class BusyStore final : public Store {
 public:
  BusyStore(Store& inner, std::vector<absl::Status> failures)
      : inner_(inner), failures_(std::move(failures)) {}

  runtime::Awaitable<absl::StatusOr<Record>> Get(runtime::Context context,
                                                 std::string key) override {
    return inner_.Get(std::move(context), std::move(key));
  }
  runtime::Awaitable<absl::StatusOr<ListResult>> List(runtime::Context context,
                                                      ListRequest request) override {
    return inner_.List(std::move(context), std::move(request));
  }
  runtime::Awaitable<absl::StatusOr<int64_t>> Commit(runtime::Context context,
                                                     std::vector<Mutation> mutations) override {
    return inner_.Commit(std::move(context), std::move(mutations));
  }
  std::unique_ptr<WatchHandle> Watch(std::string prefix, int64_t revision,
                                     WatchCallback callback,
                                     runtime::Executor executor) override {
    return inner_.Watch(std::move(prefix), revision, std::move(callback), std::move(executor));
  }
  runtime::Awaitable<absl::StatusOr<int64_t>> CurrentRevision(
      runtime::Context context) override {
    return inner_.CurrentRevision(std::move(context));
  }
  runtime::Awaitable<absl::Status> Compact(runtime::Context context,
                                           int64_t revision) override {
    return inner_.Compact(std::move(context), revision);
  }
  runtime::Awaitable<absl::Status> Scrub(runtime::Context context) override {
    const std::size_t scrub = scrubs_++;
    if (scrub < failures_.size()) co_return failures_[scrub];
    co_return co_await inner_.Scrub(std::move(context));
  }

 private:
  Store& inner_;
  const std::vector<absl::Status> failures_;
  std::atomic<std::size_t> scrubs_ = 0;
};

// Timers with which nobody waits, and which know how long everybody would have.
class HastyTimers final : public runtime::Timers {
 public:
  explicit HastyTimers(runtime::Executor executor) : executor_(std::move(executor)) {}

  const base::Clock& clock() const override { return clock_; }
  TimerId ScheduleAt(base::MonotonicTime when, absl::AnyInvocable<void()> callback) override {
    base::MutexLock lock(mutex_);
    delays_.push_back(when - clock_.MonotonicNow());
    boost::asio::post(executor_, [callback = std::move(callback)]() mutable { callback(); });
    return delays_.size();
  }
  bool Cancel(TimerId) override { return false; }

  std::vector<absl::Duration> delays() {
    base::MutexLock lock(mutex_);
    return delays_;
  }

 private:
  const runtime::Executor executor_;
  base::FakeClock clock_;
  base::Mutex mutex_;
  std::vector<absl::Duration> delays_ CW_GUARDED_BY(mutex_);
};

TEST_F(ResealingTest, WhatTheStoreCannotDoNowIsDoneLater) {
  PutSealed(*Codec("a"), "secrets/web/a");
  const auto both = Codec("ba");
  BusyStore busy(*store_, {absl::UnavailableError("a reader is there")});
  WatchLog log;
  const auto watch = store_->Watch(kSealingNote, 1, log.Callback());
  Resealing resealing(busy, "secrets/", *both, pool_.executor(), *timers_, [](int64_t) {});
  resealing.Start();
  EXPECT_THAT(log.WaitFor(2), Contains(HasSubstr("sealing/key=")));
  resealing.Stop();
  EXPECT_FALSE(OnDisk(SealingKey(base::Secret(std::string(32, 'a'))).id()));
}

TEST_F(ResealingTest, StorageThatFailsIsTriedAgainAtAPaceThatSlowsDownToABound) {
  PutSealed(*Codec("a"), "secrets/web/a");
  const auto both = Codec("ba");
  std::vector<absl::Status> failures = {absl::ResourceExhaustedError("full"),
                                        absl::DeadlineExceededError("slow")};
  failures.resize(11, absl::UnavailableError("busy"));
  BusyStore busy(*store_, failures);
  HastyTimers timers(pool_.executor());
  WatchLog log;
  const auto watch = store_->Watch(kSealingNote, 1, log.Callback());
  Resealing resealing(busy, "secrets/", *both, pool_.executor(), timers, [](int64_t) {});
  resealing.Start();
  EXPECT_THAT(log.WaitFor(2), Contains(HasSubstr("sealing/key=")));
  resealing.Stop();
  std::vector<absl::Duration> expected;
  for (const int seconds : {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}) {
    expected.push_back(absl::Seconds(seconds));
  }
  EXPECT_EQ(timers.delays(), expected);
}

TEST_F(ResealingTest, ADamagedRecordStaysCountedAndKeepsTheOldKeyInUse) {
  PutSealed(*Codec("a"), "secrets/web/a");
  CW_ASSERT_OK(Put(*store_, "secrets/web/b", *Codec("a")->Seal("secrets/web/a", kPlain)));
  const auto both = Codec("ba");
  EXPECT_THAT(Reseal(*both, *store_), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(left_, 1);
  EXPECT_TRUE(SealedWith("secrets/web/a", 'b'));
  EXPECT_TRUE(SealedWith("secrets/web/b", 'a'));
  EXPECT_EQ(ValueOf(*store_, kSealingNote), "NOT_FOUND");
}

TEST_F(ResealingTest, NothingIsReadOrWrittenOnceTheNoteNamesTheKey) {
  PutSealed(*Codec("a"), "secrets/web/a");
  const auto codec = Codec("a");
  CW_ASSERT_OK(Reseal(*codec, *store_));
  CW_ASSERT_OK_AND_ASSIGN(const int64_t revision,
                          Await(store_->CurrentRevision(TestContext())));
  CW_ASSERT_OK(Reseal(*codec, *store_));
  EXPECT_EQ(*Await(store_->CurrentRevision(TestContext())), revision);
  EXPECT_EQ(left_, 0);
}

TEST_F(ResealingTest, RunsInTheBackgroundUntilItIsStopped) {
  for (int i = 0; i < 50; ++i) PutSealed(*Codec("a"), absl::StrCat("secrets/web/", i));
  const auto both = Codec("ba");
  WatchLog log;
  const auto watch = store_->Watch(kSealingNote, 50, log.Callback());
  Resealing resealing(*store_, "secrets/", *both, pool_.executor(), *timers_, [](int64_t) {});
  resealing.Start();
  EXPECT_THAT(log.WaitFor(2), Contains(HasSubstr("sealing/key=")));
  resealing.Stop();
  EXPECT_TRUE(SealedWith("secrets/web/49", 'b'));
}

TEST_F(ResealingTest, StopsBetweenTwoRecords) {
  for (int i = 0; i < 50; ++i) PutSealed(*Codec("a"), absl::StrCat("secrets/web/", i));
  const auto both = Codec("ba");
  MortalStore store(*store_);
  auto cancellation = std::make_shared<runtime::Cancellation>();
  store.BeforeNextCommit([&] { cancellation->Cancel(); });
  Resealing resealing(store, "secrets/", *both, pool_.executor(), *timers_, [](int64_t) {});
  const runtime::Context context(base::Clock::Real(), TestContext().deadline(), cancellation);
  EXPECT_THAT(Await(resealing.Run(context)), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(store.commits(), 1);
}

}  // namespace
}  // namespace certwright::store
