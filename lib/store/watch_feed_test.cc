#include "lib/store/watch_feed.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "boost/asio/io_context.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/store/store_testing.h"

namespace certwright::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class WatchFeedTest : public testing::Test {
 protected:
  // Publishes as many commits of one change each, of this size.
  void Publish(int count, std::size_t bytes) {
    for (int i = 0; i < count; ++i) {
      Event event;
      event.revision = ++revision_;
      event.created = true;
      event.record =
          Record{absl::StrCat("k", revision_), std::string(bytes, 'v'), revision_, revision_};
      std::vector<CommittedChanges> commits(1);
      commits[0].revision = revision_;
      commits[0].events.push_back(std::move(event));
      feed_.Publish(std::move(commits));
    }
  }
  // How many of the newest commits a watcher is shown without the log being read.
  int64_t Remembered() {
    int64_t from = revision_;
    while (from > 0 && !ReadsLog(from - 1)) --from;
    return revision_ - from;
  }
  // Whether the log is read for a watch from `from`.
  bool ReadsLog(int64_t from) {
    {
      base::MutexLock lock(mutex_);
      reads_.clear();
    }
    WatchLog log;
    const auto watch = feed_.Watch("none/", from, log.Callback());
    EXPECT_THAT(log.WaitFor(1), ElementsAre("bookmark"));
    base::MutexLock lock(mutex_);
    return !reads_.empty();
  }

  int64_t revision_ = 0;
  base::Mutex mutex_;
  std::vector<int64_t> reads_ CW_GUARDED_BY(mutex_);
  WatchFeed feed_{0, [this](const std::string&, int64_t from, int64_t to, int64_t) {
                    base::MutexLock lock(mutex_);
                    reads_.push_back(from);
                    ChangeBatch batch;
                    batch.revision = to;
                    return absl::StatusOr<ChangeBatch>(batch);
                  }};
};

TEST_F(WatchFeedTest, KeepsTheNewestCommitsUpToSixteenMebibytes) {
  Publish(40, 1 << 20);
  // Each has some bytes more than its value.
  EXPECT_EQ(Remembered(), 15);
  // Larger ones take the place of more.
  Publish(1, 10 << 20);
  EXPECT_EQ(Remembered(), 6);
}

TEST_F(WatchFeedTest, ACommitThatIsLargerThanThatIsReadFromTheLog) {
  Publish(3, 100);
  Publish(1, 17 << 20);
  EXPECT_EQ(Remembered(), 0);
  Publish(2, 100);
  EXPECT_EQ(Remembered(), 2);
}

TEST_F(WatchFeedTest, KeepsFourThousandSmallCommits) {
  Publish(4096, 1);
  EXPECT_FALSE(ReadsLog(0));
  Publish(1, 1);
  EXPECT_TRUE(ReadsLog(0));
  EXPECT_FALSE(ReadsLog(1));
}

TEST_F(WatchFeedTest, WhatWasCompactedIsNotShownFromMemory) {
  Publish(10, 1);
  feed_.Compacted(4);
  EXPECT_EQ(Remembered(), 6);
  feed_.Compacted(10);
  EXPECT_EQ(Remembered(), 0);
  // Nothing is counted for what has gone.
  Publish(15, 1 << 20);
  EXPECT_EQ(Remembered(), 15);
}

TEST_F(WatchFeedTest, AWatchFromTheNewestRevisionNeedsNothing) {
  Publish(3, 1);
  EXPECT_FALSE(ReadsLog(3));
  EXPECT_EQ(Remembered(), 3);
}

// What each of the newest commits is shown as.
std::vector<std::string> Lines(int64_t from, int64_t to, const std::string& value) {
  std::vector<std::string> lines;
  for (int64_t i = from; i <= to; ++i) lines.push_back(absl::StrCat("+k", i, "=", value));
  return lines;
}

TEST_F(WatchFeedTest, AWatcherWithAnExecutorIsServedThereAndHoldsUpNoOther) {
  boost::asio::io_context loop;
  WatchLog late;
  WatchLog log;
  const auto late_watch = feed_.Watch("", 0, late.Callback(), loop.get_executor());
  const auto watch = feed_.Watch("", 0, log.Callback());
  EXPECT_THAT(log.WaitFor(1), ElementsAre("bookmark"));
  Publish(100, 1);
  EXPECT_THAT(log.WaitFor(101), SizeIs(101));
  EXPECT_EQ(late_watch->progress(), 0);

  // A few at a time, so that others have their turns.
  loop.run_one();
  EXPECT_EQ(late_watch->progress(), 16);
  loop.poll();
  EXPECT_EQ(late_watch->progress(), 100);
  std::vector<std::string> all = Lines(1, 100, "v");
  all.push_back("bookmark");
  EXPECT_EQ(late.WaitFor(101), all);
  // Which goes on when there is something again.
  Publish(3, 16 << 10);
  loop.restart();
  loop.poll();
  EXPECT_THAT(late.WaitFor(104), SizeIs(104));
}

TEST_F(WatchFeedTest, WhatAnExecutorIsToServeIsBoundedInBytes) {
  boost::asio::io_context loop;
  WatchLog log;
  const auto watch = feed_.Watch("", 0, log.Callback(), loop.get_executor());
  loop.poll();
  Publish(10, 30 << 10);
  loop.restart();
  loop.run_one();
  EXPECT_EQ(watch->progress(), 3);
}

TEST_F(WatchFeedTest, AWatchThatHasEndedIsServedNoMore) {
  boost::asio::io_context loop;
  WatchLog log;
  auto watch = feed_.Watch("", 0, log.Callback(), loop.get_executor());
  loop.poll();
  Publish(1, 1);
  watch.reset();
  loop.restart();
  loop.poll();
  EXPECT_THAT(log.WaitFor(1), ElementsAre("bookmark"));
}

// So that what it would go on from is not compacted while nothing happens that it is told of.
TEST_F(WatchFeedTest, AWatchOfOtherKeysStaysUpToDateWithoutATurn) {
  boost::asio::io_context loop;
  WatchLog log;
  const auto watch = feed_.Watch("none/", 0, log.Callback(), loop.get_executor());
  loop.poll();
  Publish(3, 1);
  EXPECT_EQ(watch->progress(), 3);
  loop.restart();
  EXPECT_EQ(loop.poll(), 0u);
  EXPECT_THAT(log.WaitFor(0), ElementsAre("bookmark"));
}

TEST_F(WatchFeedTest, AChangeIsSeenWhereverItStandsAmongThoseOfOneTransaction) {
  for (std::size_t at = 0; at < 3; ++at) {
    boost::asio::io_context loop;
    WatchLog log;
    const auto watch = feed_.Watch("mine/", revision_, log.Callback(), loop.get_executor());
    loop.poll();
    std::vector<CommittedChanges> commits(3);
    for (std::size_t i = 0; i < commits.size(); ++i) {
      Event event;
      event.revision = ++revision_;
      event.created = true;
      event.record = Record{i == at ? "mine/k" : "other/k", "v", revision_, revision_};
      commits[i].revision = revision_;
      commits[i].events.push_back(std::move(event));
    }
    feed_.Publish(std::move(commits));
    loop.restart();
    loop.poll();
    EXPECT_THAT(log.WaitFor(0), ElementsAre("bookmark", "+mine/k=v")) << at;
    EXPECT_EQ(watch->progress(), revision_) << at;
  }
}

TEST_F(WatchFeedTest, AWatchThatHasEndedLeavesNothingBehind) {
  boost::asio::io_context loop;
  auto held = std::make_shared<int>();
  const std::weak_ptr<int> left = held;
  auto watch = feed_.Watch(
      "", 0, [held = std::move(held)](const WatchUpdate&) {}, loop.get_executor());
  loop.poll();
  EXPECT_FALSE(left.expired());
  watch.reset();
  EXPECT_TRUE(left.expired());
  Publish(1, 1);
  loop.restart();
  EXPECT_EQ(loop.poll(), 0u);
}

TEST(WatchFeedLifetimeTest, WhatIsStillToBeServedFindsNoFeed) {
  boost::asio::io_context loop;
  WatchLog log;
  {
    WatchFeed feed(0, [](const std::string&, int64_t, int64_t, int64_t) {
      return absl::StatusOr<ChangeBatch>(absl::UnavailableError("gone"));
    });
    feed.Watch("", 0, log.Callback(), loop.get_executor());
  }
  loop.poll();
  EXPECT_THAT(log.WaitFor(0), IsEmpty());
}

}  // namespace
}  // namespace certwright::store
