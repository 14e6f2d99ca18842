#include "lib/controller/controller.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "boost/asio/io_context.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::controller {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Does what a test scripts, and notes the keys.
class ScriptedReconciler final : public Reconciler {
 public:
  explicit ScriptedReconciler(runtime::Timers& timers) : timers_(timers) {}

  runtime::Awaitable<absl::StatusOr<Result>> Reconcile(runtime::Context context,
                                                       std::string key) override {
    keys.push_back(key);
    if (poisoned.count(key) > 0) co_return absl::InternalError("cannot be worked on");
    if (takes > absl::ZeroDuration()) {
      if (!heeds_cancellation) context = runtime::Context::WithTimeout(timers_.clock(), takes);
      const absl::Status slept = co_await runtime::SleepFor(timers_, context, takes);
      if (!slept.ok()) {
        ended_early.push_back(slept.code());
        co_return slept;
      }
    }
    co_return result;
  }

  absl::StatusOr<Result> result = Result{};
  std::set<std::string> poisoned;
  absl::Duration takes = absl::ZeroDuration();
  bool heeds_cancellation = true;
  std::vector<std::string> keys;
  std::vector<absl::StatusCode> ended_early;

 private:
  runtime::Timers& timers_;
};

class ResultObserver final : public ControllerObserver {
 public:
  void OnWorkDone(const std::string& key, absl::Duration duration,
                  const absl::Status& result) override {
    lines.push_back(absl::StrCat(key, " ", absl::FormatDuration(duration), " ",
                                 absl::StatusCodeToString(result.code())));
  }
  std::vector<std::string> lines;
};

class ControllerTest : public testing::Test {
 protected:
  ControllerTest() { controller_.Start(); }
  ~ControllerTest() override {
    StartStop();
    Advance(absl::Minutes(1));
    Advance(absl::Minutes(1));
  }

  ControllerOptions Options() {
    ControllerOptions options;
    options.queue.backoff = {absl::Seconds(1), absl::Seconds(60), 0.1};
    options.queue.observer = &observer_;
    options.workers = 2;
    options.gate = [this] { return gate_; };
    return options;
  }
  void Enqueue(const std::string& key) {
    controller_.Enqueue(key);
    Poll();
  }
  void Advance(absl::Duration duration) {
    clock_.Advance(duration);
    Poll();
  }
  void Poll() {
    loop_.restart();
    loop_.poll();
  }
  void StartStop() {
    runtime::SpawnThen<absl::Status>(loop_.get_executor(), controller_.Stop(absl::Seconds(10)),
                                     [this](absl::Status status) { stopped_ = status; });
    Poll();
  }

  absl::Status gate_;
  base::FakeClock clock_;
  boost::asio::io_context loop_;
  runtime::FakeTimers timers_{clock_};
  base::FixedRandom random_;
  ResultObserver observer_;
  ScriptedReconciler reconciler_{timers_};
  Controller controller_{"things",  loop_.get_executor(), timers_, random_,
                         Options(), reconciler_};
  std::optional<absl::Status> stopped_;
};

TEST_F(ControllerTest, SuccessIsNotRepeated) {
  Enqueue("a");
  Advance(absl::Hours(1));
  EXPECT_THAT(reconciler_.keys, ElementsAre("a"));
  EXPECT_THAT(observer_.lines, ElementsAre("a 0 OK"));
}

TEST_F(ControllerTest, ErrorsAreRepeatedWithGrowingDelaysUntilSuccess) {
  reconciler_.result = absl::UnavailableError("down");
  Enqueue("a");
  EXPECT_EQ(reconciler_.keys.size(), 1u);
  Advance(absl::Seconds(1));
  EXPECT_EQ(reconciler_.keys.size(), 2u);
  Advance(absl::Seconds(1));
  EXPECT_EQ(reconciler_.keys.size(), 2u);
  Advance(absl::Seconds(1));
  EXPECT_EQ(reconciler_.keys.size(), 3u);
  EXPECT_EQ(controller_.queue().NumRequeues("a"), 3);
  reconciler_.result = Result{};
  Advance(absl::Seconds(4));
  EXPECT_EQ(reconciler_.keys.size(), 4u);
  EXPECT_EQ(controller_.queue().NumRequeues("a"), 0);
}

TEST_F(ControllerTest, NothingIsReconciledWhileTheGateIsShut) {
  gate_ = absl::UnavailableError("the disk is full");
  Enqueue("a");
  Advance(absl::Seconds(10));
  EXPECT_THAT(reconciler_.keys, IsEmpty());
  gate_ = absl::OkStatus();
  Advance(absl::Seconds(60));
  EXPECT_THAT(reconciler_.keys, ElementsAre("a"));
}

// Fault 95.
TEST_F(ControllerTest, KeysThatAlwaysFailHoldUpNobodyElse) {
  // More of them than workers.
  reconciler_.poisoned = {"p1", "p2", "p3"};
  for (const std::string& key : reconciler_.poisoned) Enqueue(key);
  const auto runs = [this](const std::string& key) {
    return std::count(reconciler_.keys.begin(), reconciler_.keys.end(), key);
  };
  for (int second = 0; second < 3600; ++second) {
    const std::string key = absl::StrCat("good-", second);
    Enqueue(key);
    EXPECT_EQ(runs(key), 1) << key;
    reconciler_.keys.erase(std::find(reconciler_.keys.begin(), reconciler_.keys.end(), key));
    Advance(absl::Seconds(1));
  }
  for (const std::string& key : reconciler_.poisoned) {
    EXPECT_GE(runs(key), 60);
    EXPECT_LE(runs(key), 70) << "once a minute";
  }
}

TEST_F(ControllerTest, RequeueAfterRepeatsAtItsTimeAndClearsFailures) {
  reconciler_.result = absl::UnavailableError("down");
  Enqueue("a");
  reconciler_.result = Result{absl::Seconds(30)};
  Advance(absl::Seconds(1));
  EXPECT_EQ(controller_.queue().NumRequeues("a"), 0);
  EXPECT_EQ(reconciler_.keys.size(), 2u);
  Advance(absl::Seconds(29));
  EXPECT_EQ(reconciler_.keys.size(), 2u);
  Advance(absl::Seconds(1));
  EXPECT_EQ(reconciler_.keys.size(), 3u);
}

TEST_F(ControllerTest, ConflictsAreRepeatedAtOnceButNotForever) {
  reconciler_.result = absl::AbortedError("changed");
  Enqueue("a");
  EXPECT_EQ(reconciler_.keys.size(), 6u);
  EXPECT_EQ(controller_.queue().NumRequeues("a"), 1);
  Advance(absl::Seconds(1));
  EXPECT_EQ(reconciler_.keys.size(), 7u);
  reconciler_.result = Result{};
  Advance(absl::Seconds(2));
  reconciler_.result = absl::AbortedError("changed");
  reconciler_.keys.clear();
  Enqueue("a");
  EXPECT_EQ(reconciler_.keys.size(), 6u);
}

TEST_F(ControllerTest, WaitingReconcilersHoldOneWorkerEach) {
  reconciler_.takes = absl::Seconds(5);
  for (const char* key : {"a", "b", "c"}) Enqueue(key);
  EXPECT_THAT(reconciler_.keys, ElementsAre("a", "b"));
  EXPECT_EQ(controller_.queue().unfinished().count, 2u);
  Advance(absl::Seconds(5));
  EXPECT_THAT(reconciler_.keys, ElementsAre("a", "b", "c"));
  Advance(absl::Seconds(5));
  EXPECT_THAT(observer_.lines, ElementsAre("a 5s OK", "b 5s OK", "c 5s OK"));
}

TEST_F(ControllerTest, AReconcilerIsEndedAtItsDeadline) {
  reconciler_.takes = absl::Hours(1);
  Enqueue("a");
  Advance(absl::Seconds(60));
  EXPECT_THAT(reconciler_.ended_early, ElementsAre(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(ControllerTest, EnqueueAfterWaits) {
  controller_.EnqueueAfter("a", absl::Seconds(2));
  Advance(absl::Seconds(1));
  EXPECT_THAT(reconciler_.keys, IsEmpty());
  Advance(absl::Seconds(1));
  EXPECT_THAT(reconciler_.keys, ElementsAre("a"));
}

TEST_F(ControllerTest, StopFinishesWhatRunsAndStartsNothing) {
  reconciler_.takes = absl::Seconds(5);
  for (const char* key : {"a", "b", "c"}) Enqueue(key);
  StartStop();
  EXPECT_EQ(stopped_, std::nullopt);
  Enqueue("d");
  Advance(absl::Seconds(5));
  EXPECT_EQ(stopped_, absl::OkStatus());
  EXPECT_THAT(reconciler_.keys, ElementsAre("a", "b"));
  EXPECT_THAT(reconciler_.ended_early, IsEmpty());
}

TEST_F(ControllerTest, StopCancelsWhatOutlastsTheGrace) {
  reconciler_.takes = absl::Seconds(50);
  Enqueue("a");
  StartStop();
  Advance(absl::Seconds(10));
  EXPECT_THAT(reconciler_.ended_early, ElementsAre(absl::StatusCode::kCancelled));
  EXPECT_EQ(stopped_, absl::OkStatus());
}

// As of a service that fails while it starts.
TEST_F(ControllerTest, OneThatWasNeverStartedStopsAtOnceAndStartsNoMore) {
  Controller controller("others", loop_.get_executor(), timers_, random_, Options(),
                        reconciler_);
  controller.Enqueue("a");
  std::optional<absl::Status> stopped;
  runtime::SpawnThen<absl::Status>(loop_.get_executor(), controller.Stop(absl::Seconds(10)),
                                   [&](absl::Status status) { stopped = status; });
  Poll();
  EXPECT_EQ(stopped, absl::OkStatus());
  controller.Start();
  Poll();
  EXPECT_THAT(reconciler_.keys, IsEmpty());
}

// Fault 116.
TEST_F(ControllerTest, StopWithoutAGraceWaitsForWhatItCancels) {
  reconciler_.takes = absl::Seconds(50);
  Enqueue("a");
  Enqueue("b");
  runtime::SpawnThen<absl::Status>(loop_.get_executor(), controller_.Stop(absl::ZeroDuration()),
                                   [this](absl::Status status) {
                                     EXPECT_EQ(reconciler_.ended_early.size(), 2u);
                                     stopped_ = status;
                                   });
  Poll();
  EXPECT_EQ(stopped_, absl::OkStatus());
}

TEST_F(ControllerTest, StopTellsOfWorkThatDoesNotHeedItsCancellation) {
  reconciler_.takes = absl::Seconds(50);
  reconciler_.heeds_cancellation = false;
  Enqueue("a");
  StartStop();
  Advance(absl::Seconds(10));
  EXPECT_EQ(stopped_, std::nullopt);
  Advance(absl::Seconds(10));
  ASSERT_TRUE(stopped_.has_value());
  EXPECT_EQ(stopped_->code(), absl::StatusCode::kDeadlineExceeded);
}

// Fault 88.
TEST(ControllerOnThreadsTest, OneKeyIsNeverReconciledTwiceAtOnce) {
  class Checking final : public Reconciler {
   public:
    runtime::Awaitable<absl::StatusOr<Result>> Reconcile(runtime::Context,
                                                         std::string key) override {
      std::atomic<int>& running = key == "a" ? running_a_ : running_b_;
      overlapped = overlapped || running.fetch_add(1) != 0;
      const runtime::Executor executor = co_await boost::asio::this_coro::executor;
      co_await boost::asio::post(executor, boost::asio::use_awaitable);
      running.fetch_sub(1);
      ++runs;
      co_return Result{};
    }
    std::atomic<bool> overlapped = false;
    std::atomic<int> runs = 0;

   private:
    std::atomic<int> running_a_ = 0;
    std::atomic<int> running_b_ = 0;
  };
  runtime::ThreadPool pool(2);
  const auto timers = runtime::MakeAsioTimers(pool.executor(), base::Clock::Real());
  Checking reconciler;
  Controller controller("things", pool.executor(), *timers, base::Random::Real(), {},
                        reconciler);
  controller.Start();
  for (int i = 0; i < 2000; ++i) {
    controller.Enqueue("a");
    controller.Enqueue("b");
  }
  while (reconciler.runs < 2) std::this_thread::yield();
  CW_EXPECT_OK(
      runtime::RunSyncOn<absl::Status>(pool.executor(), controller.Stop(absl::Seconds(60))));
  EXPECT_FALSE(reconciler.overlapped);
}

}  // namespace
}  // namespace certwright::controller
