#include "lib/runtime/context.h"

#include <algorithm>

namespace certwright::runtime {

void Cancellation::Cancel() {
  std::map<uint64_t, std::function<void()>> callbacks;
  {
    base::MutexLock lock(mutex_);
    if (cancelled_) return;
    cancelled_ = true;
    callbacks.swap(callbacks_);
  }
  for (const auto& [id, callback] : callbacks) callback();
}

bool Cancellation::cancelled() const {
  base::MutexLock lock(mutex_);
  return cancelled_;
}

uint64_t Cancellation::Register(std::function<void()> callback) {
  {
    base::MutexLock lock(mutex_);
    if (!cancelled_) {
      const uint64_t id = next_id_++;
      callbacks_.emplace(id, std::move(callback));
      return id;
    }
  }
  callback();
  return 0;
}

void Cancellation::Unregister(uint64_t id) {
  base::MutexLock lock(mutex_);
  callbacks_.erase(id);
}

Context Context::Within(absl::Duration timeout) const {
  return Context(*clock_, std::min(deadline_, clock_->MonotonicNow() + timeout), cancellation_);
}

absl::Duration Context::Remaining() const {
  return std::max(deadline_ - clock_->MonotonicNow(), absl::ZeroDuration());
}

absl::Status Context::Check() const {
  if (cancelled()) return absl::CancelledError("cancelled by the caller");
  if (Remaining() <= absl::ZeroDuration()) {
    return absl::DeadlineExceededError("the deadline has passed");
  }
  return absl::OkStatus();
}

}  // namespace certwright::runtime
