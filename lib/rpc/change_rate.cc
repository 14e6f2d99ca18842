#include "lib/rpc/change_rate.h"

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
    : options_(options),
      buckets_({.per_second = options.per_second,
                .burst = options.burst,
                .max_buckets = options.max_identities},
               clock) {}

absl::Status ChangeRate::Admit(const Caller& caller, const Permissions::Method& method) {
  if (method.rule.effect != Effect::kChanges) return absl::OkStatus();
  // Of several identities the first counts: those of the certificate come before tokens, so
  // that no caller has more than one bucket by showing more tokens.
  if (!caller.services.empty() || caller.identities.empty()) return absl::OkStatus();
  const absl::Duration wait = buckets_.Take(caller.identities.front());
  return wait > absl::ZeroDuration() ? TooMany(caller, options_, wait) : absl::OkStatus();
}

}  // namespace certwright::rpc
