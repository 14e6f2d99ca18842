#include "lib/store/watch_feed.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/store/store_testing.h"

namespace certwright::store {
namespace {

using testing::ElementsAre;

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

}  // namespace
}  // namespace certwright::store
