#include "lib/base/token_buckets.h"

#include <algorithm>

namespace certwright::base {

TokenBuckets::TokenBuckets(const TokenBucketOptions& options, const Clock& clock)
    : options_(options), cost_(absl::Seconds(1) / options.per_second), clock_(clock) {}

absl::Duration TokenBuckets::Take(absl::string_view who) {
  const MonotonicTime now = clock_.MonotonicNow();
  MutexLock lock(mutex_);
  const auto found = full_at_.find(who);
  const MonotonicTime full_at =
      std::max(found == full_at_.end() ? now : found->second, now) + cost_;
  const absl::Duration wait = full_at - now - options_.burst * cost_;
  if (wait > absl::ZeroDuration()) return wait;
  if (found != full_at_.end()) {
    found->second = full_at;
  } else {
    MakeRoom(now);
    full_at_.emplace(who, full_at);
  }
  return absl::ZeroDuration();
}

void TokenBuckets::MakeRoom(MonotonicTime now) {
  if (full_at_.size() < options_.max_buckets) return;
  std::erase_if(full_at_, [now](const auto& entry) { return entry.second <= now; });
  if (full_at_.size() < options_.max_buckets) return;
  full_at_.erase(
      std::min_element(full_at_.begin(), full_at_.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; }));
}

}  // namespace certwright::base
