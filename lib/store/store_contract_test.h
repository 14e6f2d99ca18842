// What every Store backend must do. A backend's test includes this and instantiates it:
//
//   INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContractTest, testing::Values(StoreBackend{...}));
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/mutex.h"
#include "lib/base/status_matchers.h"
#include "lib/store/store.h"
#include "lib/store/store_testing.h"

namespace certwright::store {

struct StoreBackend {
  std::string name;
  // An empty store that nothing else uses; called once per test.
  std::function<std::unique_ptr<Store>()> make;

  friend std::ostream& operator<<(std::ostream& out, const StoreBackend& backend) {
    return out << backend.name;
  }
};

class StoreContractTest : public testing::TestWithParam<StoreBackend> {
 protected:
  void SetUp() override {
    store_ = GetParam().make();
    ASSERT_NE(store_, nullptr);
  }
  Store& store() { return *store_; }

  std::unique_ptr<Store> store_;
};

using base::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_P(StoreContractTest, GetOfAnAbsentKeyIsNotFoundAndNamesIt) {
  EXPECT_THAT(Get(store(), "a/b"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("a/b")));
}

TEST_P(StoreContractTest, PutIsReadBackWithItsRevisions) {
  const std::string bytes("\0\xff binary \n", 11);
  CW_ASSERT_OK_AND_ASSIGN(const int64_t created, Put(store(), "k", bytes));
  CW_ASSERT_OK_AND_ASSIGN(Record record, Get(store(), "k"));
  EXPECT_EQ(record.key, "k");
  EXPECT_EQ(record.value, bytes);
  EXPECT_EQ(record.create_revision, created);
  EXPECT_EQ(record.mod_revision, created);

  CW_ASSERT_OK_AND_ASSIGN(const int64_t changed, Put(store(), "k", ""));
  EXPECT_GT(changed, created);
  CW_ASSERT_OK_AND_ASSIGN(record, Get(store(), "k"));
  EXPECT_EQ(record.value, "");
  EXPECT_EQ(record.create_revision, created);
  EXPECT_EQ(record.mod_revision, changed);
  EXPECT_EQ(Await(store().CurrentRevision(TestContext())).value(), changed);
}

TEST_P(StoreContractTest, UnmetExpectationsChangeNothingAndNameTheKey) {
  CW_ASSERT_OK_AND_ASSIGN(const int64_t revision, Put(store(), "key", "1", 0));
  EXPECT_THAT(Put(store(), "key", "2", 0),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("key")));
  EXPECT_THAT(Put(store(), "key", "2", revision + 1),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("key")));
  EXPECT_THAT(Put(store(), "none", "2", revision),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("none")));
  EXPECT_THAT(Delete(store(), "key", revision + 1), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(Delete(store(), "none"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_EQ(ValueOf(store(), "key"), "1");
  EXPECT_EQ(Await(store().CurrentRevision(TestContext())).value(), revision);

  CW_EXPECT_OK(Put(store(), "key", "2", revision));
  CW_EXPECT_OK(Delete(store(), "key"));
  EXPECT_EQ(ValueOf(store(), "key"), "NOT_FOUND");
}

TEST_P(StoreContractTest, CommitAppliesAllMutationsAtOneRevisionOrNone) {
  CW_ASSERT_OK(Put(store(), "b", "old"));
  CW_ASSERT_OK_AND_ASSIGN(const int64_t revision,
                          Commit(store(), {Mutation::Put("a", "1", 0), Mutation::Put("b", "2"),
                                           Mutation::Put("c", "3")}));
  for (const char* key : {"a", "b", "c"}) {
    EXPECT_EQ(Get(store(), key)->mod_revision, revision);
  }
  EXPECT_THAT(Commit(store(), {Mutation::Put("a", "x"), Mutation::Delete("b"),
                               Mutation::Put("c", "x", 0)}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("c")));
  CW_ASSERT_OK_AND_ASSIGN(const ListResult all, List(store(), {}));
  EXPECT_THAT(Contents(all.records), ElementsAre("a=1", "b=2", "c=3"));
  CW_EXPECT_OK(Commit(store(), {Mutation::Delete("a", revision), Mutation::Delete("b")}));
  EXPECT_EQ(ValueOf(store(), "a"), "NOT_FOUND");
}

TEST_P(StoreContractTest, RefusesCommitsThatNoBackendCouldTake) {
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Commit(store(), {}), invalid);
  EXPECT_THAT(Commit(store(), std::vector<Mutation>(kMaxMutations + 1)), invalid);
  EXPECT_THAT(Put(store(), "", "v"), invalid);
  EXPECT_THAT(Put(store(), std::string(kMaxKeyBytes + 1, 'k'), "v"), invalid);
  EXPECT_THAT(Put(store(), "k", std::string(kMaxValueBytes + 1, 'v')), invalid);
  EXPECT_THAT(Put(store(), "k", "v", -1), invalid);
  EXPECT_THAT(Commit(store(), {Mutation::Put("k", "1"), Mutation::Delete("k")}), invalid);
  CW_EXPECT_OK(Put(store(), "k", std::string(kMaxValueBytes, 'v')));
}

TEST_P(StoreContractTest, ACancelledContextEndsCalls) {
  auto cancellation = std::make_shared<runtime::Cancellation>();
  cancellation->Cancel();
  const runtime::Context cancelled(base::Clock::Real(), TestContext().deadline(), cancellation);
  const auto is_cancelled = StatusIs(absl::StatusCode::kCancelled);
  EXPECT_THAT(Await(store().Get(cancelled, "k")), is_cancelled);
  EXPECT_THAT(Await(store().List(cancelled, {})), is_cancelled);
  EXPECT_THAT(Await(store().Put(cancelled, "k", "v")), is_cancelled);
  EXPECT_EQ(ValueOf(store(), "k"), "NOT_FOUND");
}

TEST_P(StoreContractTest, ListIsOrderedByBytesAndKeepsToItsPrefix) {
  for (const char* key : {"b/2", "a/1", "b/1", "b0", "b/\xff", "c"}) {
    CW_ASSERT_OK(Put(store(), key, "v"));
  }
  CW_ASSERT_OK_AND_ASSIGN(const ListResult list, List(store(), {.prefix = "b/"}));
  EXPECT_THAT(Contents(list.records), ElementsAre("b/1=v", "b/2=v", "b/\xff=v"));
  EXPECT_FALSE(list.more);
  EXPECT_EQ(list.revision, 6);
  EXPECT_THAT(Contents(List(store(), {.prefix = "d"})->records), ElementsAre());
  EXPECT_EQ(List(store(), {})->records.size(), 6u);
}

TEST_P(StoreContractTest, PagesOfOneRevisionFitTogetherWhateverIsWrittenMeanwhile) {
  for (const char* key : {"a", "b", "c", "d", "e"}) CW_ASSERT_OK(Put(store(), key, "1"));
  CW_ASSERT_OK_AND_ASSIGN(const ListResult first, List(store(), {.limit = 2}));
  EXPECT_THAT(Contents(first.records), ElementsAre("a=1", "b=1"));
  EXPECT_TRUE(first.more);

  CW_ASSERT_OK(Put(store(), "bb", "new"));
  CW_ASSERT_OK(Put(store(), "c", "2"));
  CW_ASSERT_OK(Put(store(), "c", "3"));
  CW_ASSERT_OK(Delete(store(), "d"));
  CW_ASSERT_OK(Put(store(), "d", "again"));
  CW_ASSERT_OK(Delete(store(), "e"));

  CW_ASSERT_OK_AND_ASSIGN(
      const ListResult second,
      List(store(), {.limit = 2, .start_after = "b", .at_revision = first.revision}));
  EXPECT_THAT(Contents(second.records), ElementsAre("c=1", "d=1"));
  EXPECT_TRUE(second.more);
  EXPECT_EQ(second.revision, first.revision);
  CW_ASSERT_OK_AND_ASSIGN(
      const ListResult third,
      List(store(), {.limit = 2, .start_after = "d", .at_revision = first.revision}));
  EXPECT_THAT(Contents(third.records), ElementsAre("e=1"));
  EXPECT_FALSE(third.more);
  CW_ASSERT_OK_AND_ASSIGN(const ListResult now, List(store(), {}));
  EXPECT_THAT(Contents(now.records), ElementsAre("a=1", "b=1", "bb=new", "c=3", "d=again"));
}

TEST_P(StoreContractTest, AListWithALimitIsBoundedByBytesToo) {
  const std::string large(kMaxListBytes / 2, 'v');
  for (const char* key : {"a", "b", "c", "d", "e"}) CW_ASSERT_OK(Put(store(), key, large));
  CW_ASSERT_OK_AND_ASSIGN(const ListResult first, List(store(), {.limit = 100}));
  EXPECT_EQ(first.records.size(), 2u);
  EXPECT_TRUE(first.more);
  CW_ASSERT_OK(Put(store(), "c", "small"));
  const auto after = [&](std::string key) {
    return List(store(), {.limit = 100, .start_after = key, .at_revision = first.revision});
  };
  CW_ASSERT_OK_AND_ASSIGN(const ListResult second, after("b"));
  EXPECT_EQ(second.records.size(), 2u);
  EXPECT_TRUE(second.more);
  CW_ASSERT_OK_AND_ASSIGN(const ListResult third, after("d"));
  EXPECT_EQ(third.records.size(), 1u);
  EXPECT_FALSE(third.more);
  EXPECT_EQ(List(store(), {})->records.size(), 5u);
}

TEST_P(StoreContractTest, WhatAUserStoresIsSmallerThanWhatAServiceMay) {
  const auto put = [&](std::size_t bytes, Writer writer) {
    Mutation mutation = Mutation::Put("k/n/a", std::string(bytes, 'v'));
    mutation.writer = writer;
    return Commit(store(), {mutation}).status();
  };
  CW_EXPECT_OK(put(kMaxUserValueBytes, Writer::kUser));
  EXPECT_THAT(put(kMaxUserValueBytes + 1, Writer::kUser),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(HasSubstr("k/n/a"), HasSubstr("at most 131072 bytes"))));
  CW_EXPECT_OK(put(kMaxUserValueBytes + 1, Writer::kService));
}

TEST_P(StoreContractTest, CompactedAndFutureRevisionsAreOutOfRange) {
  CW_ASSERT_OK(Put(store(), "k", "1"));
  CW_ASSERT_OK_AND_ASSIGN(const int64_t kept, Put(store(), "k", "2"));
  CW_ASSERT_OK_AND_ASSIGN(const int64_t last, Put(store(), "k", "3"));
  const auto out_of_range = StatusIs(absl::StatusCode::kOutOfRange);
  EXPECT_THAT(Await(store().Compact(TestContext(), last + 1)), out_of_range);
  CW_ASSERT_OK(Await(store().Compact(TestContext(), kept)));
  CW_ASSERT_OK(Await(store().Compact(TestContext(), kept)));
  // An earlier one brings nothing back.
  CW_ASSERT_OK(Await(store().Compact(TestContext(), kept - 1)));
  EXPECT_THAT(List(store(), {.at_revision = kept - 1}), out_of_range);
  EXPECT_THAT(List(store(), {.at_revision = last + 1}), out_of_range);
  EXPECT_THAT(Contents(List(store(), {.at_revision = kept})->records), ElementsAre("k=2"));
  EXPECT_EQ(ValueOf(store(), "k"), "3");

  WatchLog compacted;
  WatchLog future;
  WatchLog possible;
  const auto watch1 = store().Watch("", kept - 1, compacted.Callback());
  const auto watch2 = store().Watch("", last + 1, future.Callback());
  const auto watch3 = store().Watch("", kept, possible.Callback());
  EXPECT_THAT(compacted.WaitFor(1), ElementsAre("end OUT_OF_RANGE"));
  EXPECT_THAT(future.WaitFor(1), ElementsAre("end OUT_OF_RANGE"));
  EXPECT_THAT(possible.WaitFor(2), ElementsAre("~k=3", "bookmark"));
}

TEST_P(StoreContractTest, WatchReplaysThenFollowsInOrder) {
  CW_ASSERT_OK_AND_ASSIGN(const int64_t start, Put(store(), "k/1", "before"));
  CW_ASSERT_OK(Put(store(), "k/1", "a"));
  CW_ASSERT_OK(Put(store(), "other", "x"));
  CW_ASSERT_OK(Put(store(), "k/2", "b"));
  CW_ASSERT_OK(Put(store(), "k/1", "c"));
  CW_ASSERT_OK_AND_ASSIGN(const int64_t last, Delete(store(), "k/1"));
  WatchLog log;
  const auto watch = store().Watch("k/", start, log.Callback());
  EXPECT_THAT(log.WaitFor(5), ElementsAre("~k/1=a", "+k/2=b", "~k/1=c", "-k/1=c", "bookmark"));
  EXPECT_EQ(watch->progress(), last);

  CW_ASSERT_OK(Put(store(), "k/1", "d"));
  CW_ASSERT_OK(Put(store(), "other", "y"));
  CW_ASSERT_OK(Commit(store(), {Mutation::Delete("k/2"), Mutation::Put("k/3", "e"),
                                Mutation::Put("kk", "outside")}));
  EXPECT_THAT(log.WaitFor(8), ElementsAre("~k/1=a", "+k/2=b", "~k/1=c", "-k/1=c", "bookmark",
                                          "+k/1=d", "-k/2=b", "+k/3=e"));
  EXPECT_THAT(log.revisions(), ElementsAre(start + 1, start + 3, start + 4, start + 5,
                                           start + 6, start + 8, start + 8));
}

TEST_P(StoreContractTest, WatchesStartedDuringWritesMissAndRepeatNothing) {
  constexpr int kWrites = 400;
  std::jthread writer([this] {
    for (int i = 0; i < kWrites; ++i) {
      CW_EXPECT_OK(Put(store(), absl::StrCat(i % 2 == 0 ? "w/" : "v/", i), "v"));
    }
  });
  std::vector<std::unique_ptr<WatchLog>> logs;
  std::vector<std::unique_ptr<WatchHandle>> watches;
  for (int i = 0; i < 20; ++i) {
    logs.push_back(std::make_unique<WatchLog>());
    watches.push_back(store().Watch("w/", 0, logs.back()->Callback()));
    CW_EXPECT_OK(Put(store(), "pace", "v"));
  }
  writer.join();
  for (const auto& log : logs) {
    log->WaitFor(kWrites / 2 + 1);
    const std::vector<int64_t> revisions = log->revisions();
    EXPECT_EQ(revisions.size(), static_cast<std::size_t>(kWrites / 2));
    EXPECT_TRUE(std::is_sorted(revisions.begin(), revisions.end()));
    EXPECT_EQ(std::adjacent_find(revisions.begin(), revisions.end()), revisions.end());
  }
}

TEST_P(StoreContractTest, AWatchFromWhatAListSawNeverEndsAsFuture) {
  std::jthread writer([this] {
    for (int i = 0; i < 200; ++i) CW_EXPECT_OK(Put(store(), "k", absl::StrCat(i)));
  });
  std::string last;
  while (last != "199") {
    CW_ASSERT_OK_AND_ASSIGN(const ListResult list, List(store(), {}));
    WatchLog log;
    const auto watch = store().Watch("", list.revision, log.Callback());
    EXPECT_THAT(log.WaitFor(1).front(), testing::Not(HasSubstr("end")));
    last = ValueOf(store(), "k");
  }
}

TEST_P(StoreContractTest, NoCallbackComesAfterTheHandleIsGone) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<bool> gone = false;
    std::atomic<int> late = 0;
    auto watch = store().Watch("", 0, [&](WatchUpdate) {
      if (gone) ++late;
    });
    CW_ASSERT_OK(Put(store(), "k", "1"));
    watch.reset();
    gone = true;
    CW_ASSERT_OK(Put(store(), "k", "2"));
    EXPECT_EQ(late, 0);
  }
}

TEST_P(StoreContractTest, AHandleMayBeDestroyedFromItsOwnCallback) {
  std::unique_ptr<WatchHandle> watch;
  base::Mutex mutex;
  std::atomic<int> calls = 0;
  WatchLog log;
  mutex.Lock();
  watch = store().Watch("", 0, [&](WatchUpdate update) {
    base::MutexLock lock(mutex);
    ++calls;
    watch.reset();
    log.Callback()(std::move(update));
  });
  mutex.Unlock();
  log.WaitFor(1);
  CW_ASSERT_OK(Put(store(), "k", "1"));
  CW_ASSERT_OK(Put(store(), "k", "2"));
  EXPECT_EQ(calls, 1);
}

TEST_P(StoreContractTest, ConcurrentCompareAndSwapsLoseNoUpdate) {
  constexpr int kThreads = 8;
  constexpr int kIncrements = 25;
  CW_ASSERT_OK(Put(store(), "counter", "0"));
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      for (int done = 0; done < kIncrements;) {
        const auto record = Get(store(), "counter");
        int value = 0;
        ASSERT_TRUE(record.ok() && absl::SimpleAtoi(record->value, &value));
        const auto written =
            Put(store(), "counter", absl::StrCat(value + 1), record->mod_revision);
        if (written.ok()) ++done;
        if (!written.ok() && !absl::IsAborted(written.status())) {
          FAIL() << written.status();
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(ValueOf(store(), "counter"), absl::StrCat(kThreads * kIncrements));
}

}  // namespace certwright::store
