#include "lib/rpc/change_rate.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/rpc/status.h"

namespace certwright::rpc {
namespace {

absl::Status TooMany(const Caller& caller, const Rate& rate, absl::Duration wait) {
  const absl::Status status = absl::ResourceExhaustedError(absl::StrCat(
      caller.Description(), " has made more changes than it may: ", rate.per_second,
      " a second (access.changesPerSecond), ", rate.burst,
      " at once (access.changesBurst) unless access.rates says otherwise; try again in ",
      absl::FormatDuration(wait)));
  return WithRetryAfter(WithReason(status, "CHANGE_RATE_EXCEEDED"), wait);
}

}  // namespace

ChangeRate::ChangeRate(const ChangeRateOptions& options, const base::Clock& clock)
    : rates_({options.per_second, options.burst}, options.own, options.max_identities, clock) {}

absl::Status ChangeRate::Admit(const Caller& caller, const Permissions::Method& method) {
  if (method.rule.effect != Effect::kChanges) return absl::OkStatus();
  const absl::Duration wait = rates_.Take(caller);
  if (wait <= absl::ZeroDuration()) return absl::OkStatus();
  return TooMany(caller, rates_.RateOf(caller), wait);
}

}  // namespace certwright::rpc
