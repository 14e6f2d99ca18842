#include "lib/service/background_work.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "boost/asio/io_context.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::service {
namespace {

using controller::Controller;
using controller::Event;
using controller::Result;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr absl::Duration kGrace = absl::Seconds(10);

// Tells when a number of waits have begun.
class CountedTimers final : public runtime::Timers {
 public:
  explicit CountedTimers(base::FakeClock& clock) : timers_(clock) {}
  const base::Clock& clock() const override { return timers_.clock(); }
  TimerId ScheduleAt(base::MonotonicTime when, absl::AnyInvocable<void()> callback) override {
    const TimerId id = timers_.ScheduleAt(when, std::move(callback));
    base::MutexLock lock(mutex_);
    ++scheduled_;
    changed_.notify_all();
    return id;
  }
  bool Cancel(TimerId id) override { return timers_.Cancel(id); }
  void WaitForScheduled(int count) {
    base::MutexLock lock(mutex_);
    changed_.wait(mutex_, [&] { return scheduled_ >= count; });
  }

 private:
  runtime::FakeTimers timers_;
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  int scheduled_ CW_GUARDED_BY(mutex_) = 0;
};

// Works on each key until it is told to end, or cancelled.
class Worker final : public controller::Reconciler {
 public:
  explicit Worker(runtime::Timers& timers) : timers_(timers) {}

  runtime::Awaitable<absl::StatusOr<Result>> Reconcile(runtime::Context context,
                                                       std::string key) override {
    Note("began " + key);
    const absl::Status waited = co_await end_.Wait(timers_, context);
    if (at_end) at_end();
    Note((waited.ok() ? "ended " : "cancelled ") + key);
    if (!waited.ok()) co_return waited;
    co_return Result{};
  }
  void End() { end_.Set(); }
  void WaitForBegin() {
    base::MutexLock lock(mutex_);
    changed_.wait(mutex_, [&] { return !notes_.empty(); });
  }
  std::vector<std::string> notes() const {
    base::MutexLock lock(mutex_);
    return notes_;
  }

  std::function<void()> at_end;

 private:
  void Note(std::string note) {
    base::MutexLock lock(mutex_);
    notes_.push_back(std::move(note));
    changed_.notify_all();
  }

  runtime::Timers& timers_;
  Event end_;
  mutable base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::string> notes_ CW_GUARDED_BY(mutex_);
};

class BackgroundWorkTest : public testing::Test {
 protected:
  BackgroundWorkTest() {
    work_.cancellation()->Register([this] { stopping_.set_value(); });
  }
  ~BackgroundWorkTest() override {
    work_.Stop(absl::ZeroDuration());
    pool_.Stop();
  }

  Controller& AddController(Worker& worker) {
    controller::ControllerOptions options;
    options.workers = 2;
    options.reconcile_deadline = absl::Hours(1);
    controllers_.push_back(std::make_unique<Controller>("things", pool_.executor(), timers_,
                                                        random_, options, worker));
    work_.Add(*controllers_.back());
    controllers_.back()->Start();
    return *controllers_.back();
  }
  std::future<void> StartStop(absl::Duration grace) {
    auto stop = std::async(std::launch::async, [this, grace] { work_.Stop(grace); });
    stopping_.get_future().wait();
    return stop;
  }

  runtime::ThreadPool pool_{2};
  base::FakeClock clock_;
  CountedTimers timers_{clock_};
  base::FixedRandom random_;
  Worker first_{timers_};
  Worker second_{timers_};
  Worker third_{timers_};
  std::vector<std::unique_ptr<Controller>> controllers_;
  std::promise<void> stopping_;
  BackgroundWork work_{pool_.executor(), timers_};
};

// Fault 116.
TEST_F(BackgroundWorkTest, WhatStillRunsBeginsNothingElsewhere) {
  Controller& first = AddController(first_);
  Controller& second = AddController(second_);
  first_.at_end = [&] { second.Enqueue("late"); };
  first.Enqueue("a");
  first_.WaitForBegin();
  std::future<void> stop = StartStop(kGrace);
  first_.End();
  stop.get();
  EXPECT_THAT(first_.notes(), ElementsAre("began a", "ended a"));
  EXPECT_THAT(second_.notes(), IsEmpty());
}

// Fault 116.
TEST_F(BackgroundWorkTest, AllShareOneGrace) {
  const std::vector<Worker*> workers = {&first_, &second_, &third_};
  for (Worker* worker : workers) {
    AddController(*worker).Enqueue("a");
    worker->WaitForBegin();
  }
  timers_.WaitForScheduled(3);
  std::future<void> stop = StartStop(kGrace);
  timers_.WaitForScheduled(6);
  clock_.Advance(kGrace);
  ASSERT_EQ(stop.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  for (const Worker* worker : workers) {
    EXPECT_THAT(worker->notes(), ElementsAre("began a", "cancelled a"));
  }
}

// Fault 116.
TEST_F(BackgroundWorkTest, WithoutAGraceNothingRunsAfterStop) {
  AddController(first_).Enqueue("a");
  first_.WaitForBegin();
  work_.Stop(absl::ZeroDuration());
  EXPECT_THAT(first_.notes(), ElementsAre("began a", "cancelled a"));
}

// Fault 116.
TEST_F(BackgroundWorkTest, TasksAreWaitedForAndLaterOnesDropped) {
  std::promise<void> begun;
  std::promise<void> go_on;
  std::vector<std::string> notes;
  work_.Post([&] {
    begun.set_value();
    go_on.get_future().wait();
    notes.push_back("posted");
  });
  begun.get_future().wait();
  std::future<void> stop = StartStop(absl::ZeroDuration());
  work_.Post([&] { notes.push_back("late"); });
  go_on.set_value();
  stop.get();
  EXPECT_THAT(notes, ElementsAre("posted"));
}

TEST_F(BackgroundWorkTest, ATaskHearsOfTheEndAtOnce) {
  Event never;
  absl::Status waited;
  const auto wait = [&]() -> runtime::Awaitable<void> {
    const runtime::Context context(clock_, clock_.MonotonicNow() + absl::Hours(1),
                                   work_.cancellation());
    waited = co_await never.Wait(timers_, context);
  };
  work_.Spawn(wait());
  work_.Stop(kGrace);
  EXPECT_TRUE(absl::IsCancelled(waited)) << waited;
}

TEST_F(BackgroundWorkTest, SourcesEndWhenNothingRunsTheLastOneFirst) {
  std::vector<std::string> ended;
  for (const char* source : {"one", "two"}) {
    work_.AddSource([&, source] {
      EXPECT_THAT(first_.notes(), ElementsAre("began a", "cancelled a"));
      ended.push_back(source);
    });
  }
  AddController(first_).Enqueue("a");
  first_.WaitForBegin();
  work_.Stop(absl::ZeroDuration());
  work_.Stop(absl::ZeroDuration());
  EXPECT_THAT(ended, ElementsAre("two", "one"));
}

// As after a start that has failed early, when no thread runs the executor any more.
TEST(UnstartedBackgroundWorkTest, EndsWithoutThreads) {
  boost::asio::io_context nobody_runs_this;
  base::FakeClock clock;
  runtime::FakeTimers timers(clock);
  base::FixedRandom random;
  Worker worker(timers);
  Controller controller("things", nobody_runs_this.get_executor(), timers, random, {}, worker);
  bool ended = false;
  {
    BackgroundWork work(nobody_runs_this.get_executor(), timers);
    work.Add(controller);
    work.AddSource([&] { ended = true; });
  }
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace certwright::service
