// TokenBuckets: how often somebody may do something: a bucket of tokens for each.
//
// Threading: safe from any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"

namespace certwright::base {

struct TokenBucketOptions {
  // For long, and how many at once after a pause. Both at least 1.
  int per_second = 1;
  int burst = 1;
  // Buckets that are remembered. Beyond that the one that is nearest to being full is
  // forgotten.
  std::size_t max_buckets = 10'000;
};

class TokenBuckets {
 public:
  // `clock` must outlive this.
  TokenBuckets(const TokenBucketOptions& options, const Clock& clock);

  // Takes a token of `who`. Where there is none: how long it takes until there is one, and zero
  // otherwise.
  absl::Duration Take(absl::string_view who);
  // How long it takes until `who` owes none; zero also for an empty bucket.
  absl::Duration Owed(absl::string_view who);
  // Takes as many whether they are there or not: what is missing has to come back first. Nobody
  // owes more than a full bucket.
  void Charge(absl::string_view who, int tokens);

 private:
  void Set(absl::string_view who, MonotonicTime now, MonotonicTime full_at) CW_REQUIRES(mutex_);
  MonotonicTime FullAt(absl::string_view who, MonotonicTime now) CW_REQUIRES(mutex_);
  void MakeRoom(MonotonicTime now) CW_REQUIRES(mutex_);

  const TokenBucketOptions options_;
  const absl::Duration cost_;  // the time in which one token comes back
  const Clock& clock_;
  Mutex mutex_;
  // When each bucket is full again. One that is full is as good as none.
  std::map<std::string, MonotonicTime, std::less<>> full_at_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::base
