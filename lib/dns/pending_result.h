// PendingResult: a result that comes once, from whoever is first: the work itself, or the end
// of the context that the work is done for. What comes later is dropped.
//
// T is absl::Status or an absl::StatusOr. Threading: safe from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "lib/base/mutex.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::dns {

template <typename T>
class PendingResult {
 public:
  explicit PendingResult(absl::AnyInvocable<void(T)> done) : done_(std::move(done)) {}

  void Complete(T result) {
    absl::AnyInvocable<void(T)> done;
    {
      base::MutexLock lock(mutex_);
      std::swap(done, done_);
    }
    if (done) done(std::move(result));
  }

  // False once there is a result, which nobody waits for any more.
  bool pending() const {
    base::MutexLock lock(mutex_);
    return static_cast<bool>(done_);
  }

 private:
  mutable base::Mutex mutex_;
  absl::AnyInvocable<void(T)> done_ CW_GUARDED_BY(mutex_);
};

// Calls `start` with a PendingResult for its work to complete, and waits for that or for the
// end of `context`, which gives DEADLINE_EXCEEDED or CANCELLED.
//
// The waiting coroutine holds no reference to the PendingResult, which owns it: if all others
// are dropped, the coroutine is destroyed.
template <typename T>
runtime::Awaitable<T> AwaitResult(
    runtime::Timers& timers, runtime::Context context,
    absl::AnyInvocable<void(std::shared_ptr<PendingResult<T>>)> start) {
  if (absl::Status status = context.Check(); !status.ok()) co_return status;
  runtime::Timers::TimerId timer = 0;
  uint64_t registration = 0;
  auto initiate = [&](absl::AnyInvocable<void(T)> done) {
    auto pending = std::make_shared<PendingResult<T>>(std::move(done));
    // Whatever completes it, this coroutine resumes through a post to its strand, on which
    // this function runs, so both ids are written by then.
    timer = timers.ScheduleAt(context.deadline(), [pending] {
      pending->Complete(absl::DeadlineExceededError("the deadline has passed"));
    });
    if (context.cancellation() != nullptr) {
      registration = context.cancellation()->Register(
          [pending] { pending->Complete(absl::CancelledError("cancelled by the caller")); });
    }
    start(std::move(pending));
  };
  T result = co_await runtime::AwaitCallback<T>(std::move(initiate));
  timers.Cancel(timer);
  if (context.cancellation() != nullptr) context.cancellation()->Unregister(registration);
  co_return result;
}

}  // namespace certwright::dns
