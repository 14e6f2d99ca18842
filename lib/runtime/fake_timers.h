// FakeTimers: Timers whose callbacks run when a test advances its FakeClock, on the thread
// that does so, in the order of their times.
#pragma once

#include <map>
#include <utility>

#include "lib/base/fake_clock.h"
#include "lib/base/mutex.h"
#include "lib/runtime/timers.h"

namespace certwright::runtime {

class FakeTimers final : public Timers {
 public:
  // `clock` must outlive this, and must not be advanced after this is gone.
  explicit FakeTimers(base::FakeClock& clock) : clock_(clock) {
    clock.OnAdvance([this] { RunDue(); });
  }

  const base::Clock& clock() const override { return clock_; }

  TimerId ScheduleAt(base::MonotonicTime when, absl::AnyInvocable<void()> callback) override {
    base::MutexLock lock(mutex_);
    const TimerId id = next_id_++;
    timers_.emplace(Key{when, id}, std::move(callback));
    times_.emplace(id, when);
    return id;
  }

  bool Cancel(TimerId id) override {
    absl::AnyInvocable<void()> dropped;
    base::MutexLock lock(mutex_);
    auto time = times_.find(id);
    if (time == times_.end()) return false;
    auto timer = timers_.find(Key{time->second, id});
    dropped = std::move(timer->second);
    timers_.erase(timer);
    times_.erase(time);
    return true;
  }

  // Runs what is due now, also what that schedules for now.
  void RunDue() {
    while (true) {
      absl::AnyInvocable<void()> callback;
      {
        base::MutexLock lock(mutex_);
        if (timers_.empty() || timers_.begin()->first.when > clock_.MonotonicNow()) return;
        callback = std::move(timers_.begin()->second);
        times_.erase(timers_.begin()->first.id);
        timers_.erase(timers_.begin());
      }
      callback();
    }
  }

  std::size_t pending() const {
    base::MutexLock lock(mutex_);
    return timers_.size();
  }

 private:
  struct Key {
    base::MonotonicTime when;
    TimerId id;
    bool operator<(const Key& other) const {
      return when != other.when ? when < other.when : id < other.id;
    }
  };

  base::FakeClock& clock_;
  mutable base::Mutex mutex_;
  TimerId next_id_ CW_GUARDED_BY(mutex_) = 1;
  std::map<Key, absl::AnyInvocable<void()>> timers_ CW_GUARDED_BY(mutex_);
  std::map<TimerId, base::MonotonicTime> times_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::runtime
