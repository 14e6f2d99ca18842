// RateLimiter: how long a key that keeps failing waits before it is tried again.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <string>

#include "absl/time/time.h"
#include "lib/base/mutex.h"
#include "lib/base/random.h"

namespace certwright::controller {

struct BackoffOptions {
  absl::Duration base = absl::Milliseconds(100);  // after the first failure
  absl::Duration max = absl::Minutes(5);
  double jitter = 0.1;  // each delay is changed by up to this fraction
};

// base * 2^failures, at most max, with jitter. `failures` counts earlier failures, from 0.
absl::Duration Backoff(const BackoffOptions& options, int failures, base::Random& random);

class RateLimiter {
 public:
  // `random` must outlive this.
  RateLimiter(const BackoffOptions& options, base::Random& random)
      : options_(options), random_(random) {}

  // The delay for one more failure of `key`, which is counted.
  absl::Duration When(const std::string& key);
  void Forget(const std::string& key);
  int NumRequeues(const std::string& key) const;

 private:
  const BackoffOptions options_;
  base::Random& random_;
  mutable base::Mutex mutex_;
  std::map<std::string, int> failures_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::controller
