// Timers: the only way product code waits for time to pass.
//
// Threading: all methods are safe from any thread. Callbacks run on the executor given to
// AsioTimers (or, with FakeTimers, on the thread that advances the clock), never under a
// lock, and should be quick.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "lib/base/clock.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"

namespace certwright::runtime {

class Timers {
 public:
  using TimerId = uint64_t;
  virtual ~Timers() = default;

  virtual const base::Clock& clock() const = 0;

  // Runs `callback` once, at or soon after `when`; at once (but not within this call) if
  // `when` has passed.
  virtual TimerId ScheduleAt(base::MonotonicTime when, absl::AnyInvocable<void()> callback) = 0;
  TimerId ScheduleAfter(absl::Duration delay, absl::AnyInvocable<void()> callback) {
    return ScheduleAt(clock().MonotonicNow() + delay, std::move(callback));
  }

  // True if the callback was still to come and now never runs; its captures are destroyed.
  virtual bool Cancel(TimerId id) = 0;
};

// On steady_timers of `executor`, which must outlive this. Destruction drops pending timers.
std::unique_ptr<Timers> MakeAsioTimers(Executor executor, const base::Clock& clock);

// OK after `delay`; CANCELLED or DEADLINE_EXCEEDED as soon as `context` ends before that.
Awaitable<absl::Status> SleepFor(Timers& timers, Context context, absl::Duration delay);

}  // namespace certwright::runtime
