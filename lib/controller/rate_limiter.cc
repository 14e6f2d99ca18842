#include "lib/controller/rate_limiter.h"

#include <algorithm>
#include <cmath>

namespace certwright::controller {

absl::Duration Backoff(const BackoffOptions& options, int failures, base::Random& random) {
  // Durations saturate, so a large exponent ends at the cap.
  const absl::Duration delay = options.base * std::ldexp(1.0, std::min(failures, 1000));
  return random.Jitter(std::min(delay, options.max), options.jitter);
}

absl::Duration RateLimiter::When(const std::string& key) {
  int failures = 0;
  {
    base::MutexLock lock(mutex_);
    failures = failures_[key]++;
  }
  return Backoff(options_, failures, random_);
}

void RateLimiter::Forget(const std::string& key) {
  base::MutexLock lock(mutex_);
  failures_.erase(key);
}

int RateLimiter::NumRequeues(const std::string& key) const {
  base::MutexLock lock(mutex_);
  auto it = failures_.find(key);
  return it == failures_.end() ? 0 : it->second;
}

}  // namespace certwright::controller
