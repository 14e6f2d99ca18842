// FakeClock: a Clock whose two readings move only when a test says so.
//
// Timers that follow it (runtime::FakeTimers) register a listener and are run from
// Advance(), on the thread that calls it. Threading: safe from any thread; listeners
// are called without the lock held.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/mutex.h"

namespace certwright::base {

class FakeClock final : public Clock {
 public:
  // Starts at 2026-01-02T03:04:05Z unless told otherwise.
  FakeClock() : FakeClock(absl::FromUnixSeconds(1767323045)) {}
  explicit FakeClock(absl::Time now) : now_(now) {}

  absl::Time Now() const override {
    MutexLock lock(mutex_);
    return now_;
  }
  MonotonicTime MonotonicNow() const override {
    MutexLock lock(mutex_);
    return monotonic_;
  }

  // Both clocks go forward by `duration`, which is not negative.
  void Advance(absl::Duration duration) {
    {
      MutexLock lock(mutex_);
      now_ += duration;
      monotonic_ = monotonic_ + duration;
    }
    Notify();
  }

  // Only the wall clock moves, as when an administrator or NTP steps it.
  void StepWall(absl::Duration duration) {
    MutexLock lock(mutex_);
    now_ += duration;
  }

  // `listener` is called after each Advance() for as long as this clock lives.
  void OnAdvance(std::function<void()> listener) {
    MutexLock lock(mutex_);
    listeners_.push_back(std::move(listener));
  }

 private:
  void Notify() {
    std::vector<std::function<void()>> listeners;
    {
      MutexLock lock(mutex_);
      listeners = listeners_;
    }
    for (const auto& listener : listeners) listener();
  }

  mutable Mutex mutex_;
  absl::Time now_ CW_GUARDED_BY(mutex_);
  MonotonicTime monotonic_ CW_GUARDED_BY(mutex_){absl::ZeroDuration()};
  std::vector<std::function<void()>> listeners_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::base
