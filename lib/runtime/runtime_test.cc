#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/context.h"
#include "lib/runtime/event.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"
#include "lib/runtime/timers.h"

namespace certwright::runtime {
namespace {

using base::IsOk;
using base::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(AwaitCallbackTest, ResumesWhenCompletedWithinInitiate) {
  auto start = [](absl::AnyInvocable<void(std::string)> done) { done("now"); };
  EXPECT_EQ(RunSync(AwaitCallback<std::string>(start)), "now");
}

TEST(AwaitCallbackTest, ResumesWhenCompletedFromAnotherThread) {
  std::jthread thread;
  auto start = [&thread](absl::AnyInvocable<void(int)> done) {
    thread = std::jthread([done = std::move(done)]() mutable { done(42); });
  };
  EXPECT_EQ(RunSync(AwaitCallback<int>(start)), 42);
}

Awaitable<int> Delayed(Timers& timers, absl::Duration delay, int value) {
  const Context context = Context::WithTimeout(timers.clock(), absl::Minutes(1));
  (void)co_await SleepFor(timers, context, delay);
  co_return value;
}

TEST(WhenAllTest, KeepsTheOrderOfTasksNotOfCompletion) {
  ThreadPool pool(2);
  auto timers = MakeAsioTimers(pool.executor(), base::Clock::Real());
  std::vector<Awaitable<int>> tasks;
  tasks.push_back(Delayed(*timers, absl::Milliseconds(20), 1));
  tasks.push_back(Delayed(*timers, absl::ZeroDuration(), 2));
  EXPECT_THAT(RunSyncOn(pool.executor(), WhenAll(std::move(tasks))), ElementsAre(1, 2));
}

TEST(WhenAllTest, OfNothingIsNothing) {
  EXPECT_THAT(RunSync(WhenAll(std::vector<Awaitable<int>>())), ElementsAre());
}

TEST(ContextTest, WithinTakesTheNearerDeadline) {
  base::FakeClock clock;
  const Context context = Context::WithTimeout(clock, absl::Seconds(10));
  EXPECT_EQ(context.Within(absl::Seconds(3)).Remaining(), absl::Seconds(3));
  EXPECT_EQ(context.Within(absl::Seconds(30)).Remaining(), absl::Seconds(10));
}

// What is bounded more tightly is still the same caller's.
TEST(ContextTest, WithinKeepsTheCancellation) {
  base::FakeClock clock;
  auto cancellation = std::make_shared<Cancellation>();
  const Context context(clock, clock.MonotonicNow() + absl::Seconds(10), cancellation);
  const Context within = context.Within(absl::Seconds(3)).Within(absl::Seconds(2));
  EXPECT_THAT(within.Check(), IsOk());
  cancellation->Cancel();
  EXPECT_THAT(within.Check(), StatusIs(absl::StatusCode::kCancelled));
}

TEST(ContextTest, NothingRemainsOnceTheDeadlineHasPassed) {
  base::FakeClock clock;
  const Context context = Context::WithTimeout(clock, absl::Seconds(1));
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(context.Remaining(), absl::ZeroDuration());
  EXPECT_EQ(context.Within(absl::Hours(1)).Remaining(), absl::ZeroDuration());
}

TEST(ContextTest, CheckTellsCancelledFromExpired) {
  base::FakeClock clock;
  auto cancellation = std::make_shared<Cancellation>();
  const Context context(clock, clock.MonotonicNow() + absl::Seconds(1), cancellation);
  EXPECT_THAT(context.Check(), IsOk());
  clock.Advance(absl::Seconds(1));
  EXPECT_THAT(context.Check(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  cancellation->Cancel();
  EXPECT_THAT(context.Check(), StatusIs(absl::StatusCode::kCancelled));
}

TEST(CancellationTest, RunsLaterRegistrationsAtOnceAndUnregisteredNever) {
  Cancellation cancellation;
  int kept = 0;
  int dropped = 0;
  cancellation.Register([&] { ++kept; });
  cancellation.Unregister(cancellation.Register([&] { ++dropped; }));
  cancellation.Cancel();
  cancellation.Cancel();
  cancellation.Register([&] { ++kept; });
  EXPECT_EQ(kept, 2);
  EXPECT_EQ(dropped, 0);
}

class SleepForTest : public testing::Test {
 protected:
  // Starts a sleep of `delay` under `context` and keeps its outcome in status_.
  void Start(Context context, absl::Duration delay) {
    SpawnThen<absl::Status>(loop_.get_executor(), SleepFor(timers_, context, delay),
                            [this](absl::Status status) { status_ = std::move(status); });
    loop_.poll();
  }
  void Advance(absl::Duration duration) {
    clock_.Advance(duration);
    loop_.restart();
    loop_.poll();
  }

  base::FakeClock clock_;
  FakeTimers timers_{clock_};
  boost::asio::io_context loop_;
  std::optional<absl::Status> status_;
};

TEST_F(SleepForTest, EndsAtItsTimeAndNotBefore) {
  Start(Context::WithTimeout(clock_, absl::Minutes(1)), absl::Seconds(5));
  Advance(absl::Seconds(4));
  EXPECT_EQ(status_, std::nullopt);
  Advance(absl::Seconds(1));
  EXPECT_EQ(status_, absl::OkStatus());
}

TEST_F(SleepForTest, EndsWithItsContext) {
  Start(Context::WithTimeout(clock_, absl::Seconds(2)), absl::Seconds(5));
  Advance(absl::Seconds(2));
  ASSERT_TRUE(status_.has_value());
  EXPECT_THAT(*status_, StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(SleepForTest, EndsWhenCancelledAndLeavesNoTimer) {
  auto cancellation = std::make_shared<Cancellation>();
  Start(Context(clock_, clock_.MonotonicNow() + absl::Hours(1), cancellation),
        absl::Minutes(5));
  cancellation->Cancel();
  Advance(absl::ZeroDuration());
  ASSERT_TRUE(status_.has_value());
  EXPECT_THAT(*status_, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(timers_.pending(), 0u);
}

class EventTest : public testing::Test {
 protected:
  // Begins a wait whose outcome will be the last of outcomes_.
  void Wait(Context context) {
    SpawnThen<absl::Status>(
        loop_.get_executor(), event_.Wait(timers_, context),
        [this](absl::Status status) { outcomes_.push_back(status.code()); });
    Run();
  }
  void Run() {
    loop_.restart();
    loop_.poll();
  }

  base::FakeClock clock_;
  FakeTimers timers_{clock_};
  boost::asio::io_context loop_;
  Event event_;
  std::vector<absl::StatusCode> outcomes_;
};

TEST_F(EventTest, WakesAllWhoWaitAndLetsLaterOnesPass) {
  for (int i = 0; i < 2; ++i) Wait(Context::WithTimeout(clock_, absl::Seconds(1)));
  EXPECT_THAT(outcomes_, IsEmpty());
  event_.Set();
  Run();
  EXPECT_THAT(outcomes_, ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kOk));
  Wait(Context::WithTimeout(clock_, absl::Seconds(1)));
  EXPECT_EQ(outcomes_.size(), 3u);
  EXPECT_EQ(outcomes_.back(), absl::StatusCode::kOk);
  EXPECT_EQ(timers_.pending(), 0u);
}

TEST_F(EventTest, AWaitEndsWithItsContextAndLeavesTheOthers) {
  auto cancellation = std::make_shared<Cancellation>();
  Wait(Context(clock_, clock_.MonotonicNow() + absl::Hours(1), cancellation));
  Wait(Context::WithTimeout(clock_, absl::Seconds(1)));
  Wait(Context::WithTimeout(clock_, absl::Hours(1)));
  cancellation->Cancel();
  Run();
  EXPECT_THAT(outcomes_, ElementsAre(absl::StatusCode::kCancelled));
  clock_.Advance(absl::Seconds(1));
  Run();
  EXPECT_THAT(outcomes_,
              ElementsAre(absl::StatusCode::kCancelled, absl::StatusCode::kDeadlineExceeded));
  EXPECT_FALSE(event_.IsSet());
  event_.Set();
  Run();
  EXPECT_EQ(outcomes_.size(), 3u);
  EXPECT_EQ(outcomes_.back(), absl::StatusCode::kOk);
}

TEST(FakeTimersTest, RunsCallbacksInTheOrderOfTheirTimes) {
  base::FakeClock clock;
  FakeTimers timers(clock);
  std::vector<int> order;
  timers.ScheduleAfter(absl::Seconds(2), [&] { order.push_back(2); });
  timers.ScheduleAfter(absl::Seconds(1), [&] { order.push_back(1); });
  const auto cancelled = timers.ScheduleAfter(absl::Seconds(1), [&] { order.push_back(0); });
  EXPECT_TRUE(timers.Cancel(cancelled));
  EXPECT_FALSE(timers.Cancel(cancelled));
  clock.Advance(absl::Seconds(2));
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(AsioTimersTest, RunsWhatIsDueAndNotWhatIsCancelled) {
  boost::asio::io_context loop;
  auto timers = MakeAsioTimers(loop.get_executor(), base::Clock::Real());
  int ran = 0;
  timers->ScheduleAfter(absl::Milliseconds(1), [&] { ++ran; });
  EXPECT_TRUE(timers->Cancel(timers->ScheduleAfter(absl::Milliseconds(1), [&] { ran += 10; })));
  loop.run();
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace certwright::runtime
