#include "lib/controller/controller.h"

#include <utility>

#include "lib/runtime/in_turn.h"

namespace certwright::controller {
namespace {

constexpr absl::Duration kCancelledWorkLimit = absl::Seconds(10);

}  // namespace

Controller::Controller(std::string name, runtime::Executor executor, runtime::Timers& timers,
                       base::Random& random, const ControllerOptions& options,
                       Reconciler& reconciler)
    : name_(std::move(name)),
      executor_(std::move(executor)),
      timers_(timers),
      options_(options),
      reconciler_(reconciler),
      queue_(timers, random, options.queue),
      cancellation_(std::make_shared<runtime::Cancellation>()) {}

void Controller::Start() {
  {
    base::MutexLock lock(mutex_);
    if (stopping_) return;
    running_workers_ = options_.workers;
  }
  for (int i = 0; i < options_.workers; ++i) runtime::Spawn(executor_, Work());
}

runtime::Awaitable<void> Controller::Work() {
  while (true) {
    std::optional<std::string> key = co_await queue_.Get();
    if (!key.has_value()) break;
    co_await Process(*std::move(key));
  }
  WorkerEnded();
}

runtime::Awaitable<void> Controller::Process(std::string key) {
  {
    base::MutexLock lock(mutex_);
    if (stopping_) {
      queue_.Done(key);
      co_return;
    }
  }
  if (const absl::Status open = options_.gate ? options_.gate() : absl::OkStatus();
      !open.ok()) {
    Settle(key, open);
    queue_.Done(key);
    co_return;
  }
  const base::Clock& clock = timers_.clock();
  const base::MonotonicTime start = clock.MonotonicNow();
  const runtime::Context context(clock, start + options_.reconcile_deadline, cancellation_);
  const auto reconcile = [&](absl::AnyInvocable<void(absl::StatusOr<Result>)> done) {
    runtime::SpawnThen<absl::StatusOr<Result>>(
        runtime::InTurn(executor_, key.substr(0, key.find('/'))),
        reconciler_.Reconcile(context, key), std::move(done));
  };
  const auto result = co_await runtime::AwaitCallback<absl::StatusOr<Result>>(reconcile);
  if (options_.queue.observer != nullptr) {
    options_.queue.observer->OnWorkDone(key, clock.MonotonicNow() - start, result.status());
  }
  Settle(key, result);
  queue_.Done(key);
}

void Controller::Settle(const std::string& key, const absl::StatusOr<Result>& result) {
  if (absl::IsAborted(result.status()) && ConflictIsFast(key)) {
    // Not handed out before Done().
    queue_.Add(key);
    return;
  }
  if (!result.ok()) {
    queue_.AddRateLimited(key);
    return;
  }
  {
    base::MutexLock lock(mutex_);
    conflicts_.erase(key);
  }
  queue_.Forget(key);
  if (result->requeue_after.has_value()) queue_.AddAfter(key, *result->requeue_after);
}

bool Controller::ConflictIsFast(const std::string& key) {
  base::MutexLock lock(mutex_);
  return ++conflicts_[key] <= options_.max_fast_conflicts;
}

void Controller::WorkerEnded() {
  bool last = false;
  {
    base::MutexLock lock(mutex_);
    last = --running_workers_ == 0;
  }
  if (last) workers_ended_.Set();
}

void Controller::ShutDown() {
  bool idle = false;
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
    idle = running_workers_ == 0;
  }
  if (idle) workers_ended_.Set();
  queue_.ShutDown();
}

runtime::Awaitable<absl::Status> Controller::Stop(absl::Duration grace) {
  ShutDown();
  const base::Clock& clock = timers_.clock();
  const absl::Status ended =
      co_await workers_ended_.Wait(timers_, runtime::Context::WithTimeout(clock, grace));
  if (ended.ok()) co_return ended;
  cancellation_->Cancel();
  const absl::Status cancelled = co_await workers_ended_.Wait(
      timers_, runtime::Context::WithTimeout(clock, kCancelledWorkLimit));
  if (cancelled.ok()) co_return cancelled;
  co_return absl::DeadlineExceededError(
      "controller " + name_ + ": work still runs that does not heed its cancellation");
}

}  // namespace certwright::controller
