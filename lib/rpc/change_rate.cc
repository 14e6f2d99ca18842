#include "lib/rpc/change_rate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/rpc/status.h"

namespace certwright::rpc {
namespace {

absl::Status TooMany(const Caller& caller, const ChangeRateOptions& options,
                     absl::Duration wait) {
  const absl::Status status = absl::ResourceExhaustedError(absl::StrCat(
      caller.Description(), " has made more changes than it may: ", options.per_second,
      " a second (access.changesPerSecond), ", options.burst,
      " at once (access.changesBurst); try again in ", absl::FormatDuration(wait)));
  return WithRetryAfter(WithReason(status, "CHANGE_RATE_EXCEEDED"), wait);
}

}  // namespace

ChangeRate::ChangeRate(const ChangeRateOptions& options, const base::Clock& clock)
    : options_(options), cost_(absl::Seconds(1) / options.per_second), clock_(clock) {}

absl::Status ChangeRate::Admit(const Caller& caller, const Permissions::Method& method) {
  if (method.rule.effect != Effect::kChanges) return absl::OkStatus();
  // Of several identities the first counts: those of the certificate come before tokens, so
  // that no caller has more than one bucket by showing more tokens.
  if (!caller.services.empty() || caller.identities.empty()) return absl::OkStatus();
  const base::MonotonicTime now = clock_.MonotonicNow();
  base::MutexLock lock(mutex_);
  const auto found = full_at_.find(caller.identities.front());
  const base::MonotonicTime full_at =
      std::max(found == full_at_.end() ? now : found->second, now) + cost_;
  const absl::Duration wait = full_at - now - options_.burst * cost_;
  if (wait > absl::ZeroDuration()) return TooMany(caller, options_, wait);
  if (found != full_at_.end()) {
    found->second = full_at;
  } else {
    MakeRoom(now);
    full_at_.emplace(caller.identities.front(), full_at);
  }
  return absl::OkStatus();
}

void ChangeRate::MakeRoom(base::MonotonicTime now) {
  if (full_at_.size() < options_.max_identities) return;
  std::erase_if(full_at_, [now](const auto& entry) { return entry.second <= now; });
  if (full_at_.size() < options_.max_identities) return;
  full_at_.erase(
      std::min_element(full_at_.begin(), full_at_.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; }));
}

}  // namespace certwright::rpc
