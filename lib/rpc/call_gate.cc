#include "lib/rpc/call_gate.h"

#include <algorithm>
#include <chrono>

namespace certwright::rpc {

bool CallGate::Enter() {
  base::MutexLock lock(mutex_);
  ++arrivals_;
  if (closed_) {
    changed_.notify_all();
    return false;
  }
  ++running_;
  return true;
}

void CallGate::Leave() {
  base::MutexLock lock(mutex_);
  --running_;
  if (closed_) changed_.notify_all();
}

void CallGate::Close() {
  base::MutexLock lock(mutex_);
  closed_ = true;
}

bool CallGate::WaitUntilQuiet(absl::Duration quiet, absl::Duration limit) {
  using Clock = std::chrono::steady_clock;
  base::MutexLock lock(mutex_);
  Clock::time_point now = Clock::now();
  const Clock::time_point end = now + absl::ToChronoNanoseconds(limit);
  Clock::time_point quiet_at = now + absl::ToChronoNanoseconds(quiet);
  int64_t seen = arrivals_;
  while (true) {
    if (arrivals_ != seen) {
      seen = arrivals_;
      quiet_at = now + absl::ToChronoNanoseconds(quiet);
    }
    if (running_ == 0 && now >= quiet_at) return true;
    if (now >= end) return false;
    // The last call to leave wakes this.
    changed_.wait_until(mutex_, running_ == 0 ? std::min(end, quiet_at) : end);
    now = Clock::now();
  }
}

}  // namespace certwright::rpc
