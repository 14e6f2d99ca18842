#include "lib/base/token_buckets.h"

#include <algorithm>

namespace certwright::base {

TokenBuckets::TokenBuckets(const TokenBucketOptions& options, const Clock& clock)
    : options_(options), cost_(absl::Seconds(1) / options.per_second), clock_(clock) {}

MonotonicTime TokenBuckets::FullAt(absl::string_view who, MonotonicTime now) {
  const auto found = full_at_.find(who);
  return found == full_at_.end() ? now : std::max(found->second, now);
}

void TokenBuckets::Set(absl::string_view who, MonotonicTime now, MonotonicTime full_at) {
  const auto found = full_at_.find(who);
  if (found != full_at_.end()) {
    found->second = full_at;
    return;
  }
  MakeRoom(now);
  full_at_.emplace(who, full_at);
}

absl::Duration TokenBuckets::Take(absl::string_view who) {
  const MonotonicTime now = clock_.MonotonicNow();
  MutexLock lock(mutex_);
  const MonotonicTime full_at = FullAt(who, now) + cost_;
  const absl::Duration wait = full_at - now - options_.burst * cost_;
  if (wait > absl::ZeroDuration()) return wait;
  Set(who, now, full_at);
  return absl::ZeroDuration();
}

absl::Duration TokenBuckets::Owed(absl::string_view who) {
  const MonotonicTime now = clock_.MonotonicNow();
  MutexLock lock(mutex_);
  return std::max(FullAt(who, now) - now - options_.burst * cost_, absl::ZeroDuration());
}

void TokenBuckets::Charge(absl::string_view who, int tokens) {
  const MonotonicTime now = clock_.MonotonicNow();
  MutexLock lock(mutex_);
  const MonotonicTime full_at = FullAt(who, now) + tokens * cost_;
  Set(who, now, std::min(full_at, now + 2 * options_.burst * cost_));
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
