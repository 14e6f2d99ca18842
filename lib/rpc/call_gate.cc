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
  const Clock::time_point end = Clock::now() + absl::ToChronoNanoseconds(limit);
  while (Clock::now() < end) {
    const int64_t seen = arrivals_;
    const auto until = std::min(end, Clock::now() + absl::ToChronoNanoseconds(quiet));
    while (arrivals_ == seen && changed_.wait_until(mutex_, until) != std::cv_status::timeout) {
    }
    if (arrivals_ == seen && running_ == 0) return true;
  }
  return false;
}

}  // namespace certwright::rpc
