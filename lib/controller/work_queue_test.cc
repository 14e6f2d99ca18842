#include "lib/controller/work_queue.h"

#include <optional>
#include <string>
#include <vector>

#include "boost/asio/io_context.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/controller/rate_limiter.h"
#include "lib/runtime/fake_timers.h"

namespace certwright::controller {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

TEST(RateLimiterTest, DelaysDoubleUpToTheCapPerKey) {
  base::FixedRandom random;
  RateLimiter limiter({absl::Seconds(1), absl::Seconds(5), 0.1}, random);
  EXPECT_EQ(limiter.When("a"), absl::Seconds(1));
  EXPECT_EQ(limiter.When("a"), absl::Seconds(2));
  EXPECT_EQ(limiter.When("b"), absl::Seconds(1));
  EXPECT_EQ(limiter.When("a"), absl::Seconds(4));
  EXPECT_EQ(limiter.When("a"), absl::Seconds(5));
  EXPECT_EQ(limiter.NumRequeues("a"), 4);
  limiter.Forget("a");
  EXPECT_EQ(limiter.NumRequeues("a"), 0);
  EXPECT_EQ(limiter.When("a"), absl::Seconds(1));
  EXPECT_EQ(limiter.NumRequeues("b"), 1);
}

TEST(RateLimiterTest, ManyFailuresDoNotOverflow) {
  base::FixedRandom random;
  EXPECT_EQ(Backoff({absl::Seconds(1), absl::Hours(1), 0.1}, 1'000'000, random),
            absl::Hours(1));
}

TEST(RateLimiterTest, JitterStaysWithinItsFraction) {
  base::FixedRandom least(0.0);
  base::FixedRandom most(0.999999);
  const BackoffOptions options{absl::Seconds(10), absl::Seconds(10), 0.1};
  EXPECT_EQ(Backoff(options, 0, least), absl::Seconds(9));
  EXPECT_GT(Backoff(options, 0, most), absl::Seconds(10.99));
  EXPECT_LT(Backoff(options, 0, most), absl::Seconds(11));
}

class CountingObserver final : public ControllerObserver {
 public:
  void OnAdd() override { ++adds; }
  void OnDepth(std::size_t depth) override { depths.push_back(depth); }
  void OnRetry() override { ++retries; }
  void OnQueueLatency(absl::Duration latency) override { latencies.push_back(latency); }

  int adds = 0;
  int retries = 0;
  std::vector<std::size_t> depths;
  std::vector<absl::Duration> latencies;
};

class WorkQueueTest : public testing::Test {
 protected:
  // Starts a Get() whose outcome goes to got_.
  void StartGet() {
    auto get = [](WorkQueue& queue) -> runtime::Awaitable<std::optional<std::string>> {
      co_return co_await queue.Get();
    };
    runtime::SpawnThen<std::optional<std::string>>(
        loop_.get_executor(), get(queue_),
        [this](std::optional<std::string> key) { got_.push_back(key.value_or("shut down")); });
    Poll();
  }
  void StartDrain(runtime::Context context) {
    runtime::SpawnThen<absl::Status>(loop_.get_executor(), queue_.ShutDownWithDrain(context),
                                     [this](absl::Status status) { drained_ = status; });
    Poll();
  }
  void StartDrain() { StartDrain(runtime::Context::WithTimeout(clock_, absl::Minutes(1))); }
  void Poll() {
    loop_.restart();
    loop_.poll();
  }

  base::FakeClock clock_;
  boost::asio::io_context loop_;
  runtime::FakeTimers timers_{clock_};
  base::FixedRandom random_;
  CountingObserver observer_;
  WorkQueue queue_{timers_, random_, {{absl::Seconds(1), absl::Seconds(60), 0.1}, &observer_}};
  std::vector<std::string> got_;
  std::optional<absl::Status> drained_;
};

TEST_F(WorkQueueTest, KeysComeInTheOrderOfTheirAdds) {
  for (const char* key : {"b", "a", "c"}) queue_.Add(key);
  EXPECT_EQ(queue_.depth(), 3u);
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("b")));
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a")));
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("c")));
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
}

TEST_F(WorkQueueTest, NamespacesTakeTurns) {
  for (const char* key : {"a/1", "a/2", "a/3", "b/1", "c/1", "b/2"}) queue_.Add(key);
  for (const char* key : {"a/1", "b/1", "c/1", "a/2", "b/2"}) {
    EXPECT_THAT(queue_.TryGet(), Optional(std::string(key)));
  }
  queue_.Add("b/3");
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a/3")));
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("b/3")));
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
  EXPECT_EQ(queue_.depth(), 0u);
}

TEST_F(WorkQueueTest, AddsOfAQueuedKeyCollapse) {
  queue_.Add("a");
  queue_.Add("b");
  queue_.Add("a");
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a")));
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("b")));
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
}

TEST_F(WorkQueueTest, AddWhileProcessingRunsOnceMoreAfterDone) {
  queue_.Add("a");
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a")));
  queue_.Add("a");
  queue_.Add("a");
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
  queue_.Done("a");
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a")));
  queue_.Done("a");
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
}

TEST_F(WorkQueueTest, GetWaitsForAnAdd) {
  StartGet();
  StartGet();
  EXPECT_THAT(got_, IsEmpty());
  queue_.Add("a");
  Poll();
  EXPECT_THAT(got_, ElementsAre("a"));
  queue_.Add("a");
  Poll();
  EXPECT_THAT(got_, ElementsAre("a"));
  queue_.Done("a");
  Poll();
  EXPECT_THAT(got_, ElementsAre("a", "a"));
}

TEST_F(WorkQueueTest, AddAfterAddsAtItsTime) {
  queue_.AddAfter("a", absl::Seconds(10));
  queue_.AddAfter("now", absl::ZeroDuration());
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("now")));
  clock_.Advance(absl::Seconds(9));
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a")));
  EXPECT_EQ(queue_.delayed(), 0u);
}

TEST_F(WorkQueueTest, OfSeveralDelaysOfOneKeyTheEarliestCounts) {
  queue_.AddAfter("a", absl::Seconds(10));
  queue_.AddAfter("a", absl::Seconds(20));
  queue_.AddAfter("a", absl::Seconds(5));
  EXPECT_EQ(queue_.delayed(), 1u);
  EXPECT_EQ(timers_.pending(), 1u);
  clock_.Advance(absl::Seconds(5));
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a")));
  queue_.Done("a");
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
}

TEST_F(WorkQueueTest, ALaterDelayOfAKeyLeavesTheEarlierOneAlone) {
  queue_.AddAfter("a", absl::Seconds(5));
  for (const int later : {6, 20, 3600}) queue_.AddAfter("a", absl::Seconds(later));
  EXPECT_EQ(timers_.pending(), 1u);
  clock_.Advance(absl::Seconds(4));
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a")));
}

TEST_F(WorkQueueTest, AddDoesNotTakeBackADelayedAdd) {
  queue_.AddAfter("a", absl::Seconds(10));
  queue_.Add("a");
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a")));
  queue_.Done("a");
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a")));
}

TEST_F(WorkQueueTest, RateLimitedAddsWaitLongerEachTimeUntilForgotten) {
  for (int expected : {1, 2, 4}) {
    queue_.AddRateLimited("a");
    clock_.Advance(absl::Seconds(expected) - absl::Milliseconds(1));
    EXPECT_EQ(queue_.TryGet(), std::nullopt) << expected;
    clock_.Advance(absl::Milliseconds(1));
    EXPECT_THAT(queue_.TryGet(), Optional(std::string("a"))) << expected;
    queue_.Done("a");
  }
  EXPECT_EQ(queue_.NumRequeues("a"), 3);
  queue_.Forget("a");
  queue_.AddRateLimited("a");
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a")));
  EXPECT_EQ(observer_.retries, 4);
}

TEST_F(WorkQueueTest, ForgetLeavesADelayedAddAlone) {
  queue_.AddRateLimited("a");
  queue_.Forget("a");
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(queue_.TryGet(), Optional(std::string("a")));
}

TEST_F(WorkQueueTest, ShutDownHandsOutWhatIsQueuedAndTakesNoMore) {
  queue_.Add("a");
  queue_.AddAfter("b", absl::Seconds(1));
  queue_.ShutDown();
  queue_.Add("c");
  queue_.AddAfter("d", absl::Seconds(1));
  queue_.AddRateLimited("e");
  EXPECT_EQ(timers_.pending(), 0u);
  StartGet();
  StartGet();
  EXPECT_THAT(got_, ElementsAre("a", "shut down"));
}

TEST_F(WorkQueueTest, ShutDownWakesAllThatWait) {
  StartGet();
  StartGet();
  queue_.ShutDown();
  Poll();
  EXPECT_THAT(got_, ElementsAre("shut down", "shut down"));
}

TEST_F(WorkQueueTest, DrainWaitsForWorkAndForWhatItRequeues) {
  queue_.Add("a");
  StartGet();
  queue_.Add("a");
  StartDrain();
  EXPECT_EQ(drained_, std::nullopt);
  queue_.Done("a");
  Poll();
  EXPECT_EQ(drained_, std::nullopt);
  StartGet();
  EXPECT_THAT(got_, ElementsAre("a", "a"));
  queue_.Done("a");
  Poll();
  EXPECT_EQ(drained_, absl::OkStatus());
}

TEST_F(WorkQueueTest, DrainWaitsForWhatNobodyHasTakenYet) {
  queue_.Add("a");
  queue_.AddAfter("b", absl::Seconds(1));
  StartDrain();
  EXPECT_EQ(drained_, std::nullopt);
  EXPECT_EQ(queue_.delayed(), 0u);
  StartGet();
  EXPECT_THAT(got_, ElementsAre("a"));
  EXPECT_EQ(drained_, std::nullopt);
  queue_.Done("a");
  Poll();
  EXPECT_EQ(drained_, absl::OkStatus());
}

TEST_F(WorkQueueTest, DrainOfAnIdleQueueEndsAtOnce) {
  StartDrain();
  EXPECT_EQ(drained_, absl::OkStatus());
}

TEST_F(WorkQueueTest, ShutDownReleasesADrain) {
  queue_.Add("a");
  StartGet();
  StartDrain();
  queue_.ShutDown();
  Poll();
  EXPECT_EQ(drained_, absl::OkStatus());
}

TEST_F(WorkQueueTest, DrainEndsWithItsContext) {
  queue_.Add("a");
  StartGet();
  auto cancellation = std::make_shared<runtime::Cancellation>();
  StartDrain(runtime::Context(clock_, clock_.MonotonicNow() + absl::Minutes(1), cancellation));
  cancellation->Cancel();
  Poll();
  ASSERT_TRUE(drained_.has_value());
  EXPECT_THAT(*drained_, base::StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(timers_.pending(), 0u);

  drained_.reset();
  StartDrain();
  clock_.Advance(absl::Minutes(1));
  Poll();
  ASSERT_TRUE(drained_.has_value());
  EXPECT_THAT(*drained_, base::StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(WorkQueueTest, ObserverAndUnfinishedTellHowLongThingsTake) {
  queue_.Add("a");
  queue_.Add("b");
  queue_.Add("a");
  clock_.Advance(absl::Seconds(3));
  queue_.TryGet();
  clock_.Advance(absl::Seconds(4));
  queue_.TryGet();
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(observer_.adds, 2);
  EXPECT_THAT(observer_.depths, ElementsAre(1u, 2u, 1u, 0u));
  EXPECT_THAT(observer_.latencies, ElementsAre(absl::Seconds(3), absl::Seconds(7)));
  const WorkQueue::Unfinished unfinished = queue_.unfinished();
  EXPECT_EQ(unfinished.count, 2u);
  EXPECT_EQ(unfinished.total, absl::Seconds(6));
  EXPECT_EQ(unfinished.longest, absl::Seconds(5));
}

TEST_F(WorkQueueTest, TimersThatOutliveTheQueueDoNothing) {
  {
    WorkQueue queue(timers_, random_, {});
    queue.AddAfter("a", absl::Seconds(1));
  }
  EXPECT_EQ(timers_.pending(), 0u);
  clock_.Advance(absl::Seconds(1));
}

}  // namespace
}  // namespace certwright::controller
