#include "lib/rpc/call_rate.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/rpc/status.h"

namespace certwright::rpc {
namespace {

constexpr std::size_t kBytesOfToken = 16 << 10;

bool IsExempt(const Caller& caller) {
  return !caller.services.empty() || caller.identities.empty();
}

}  // namespace

CallRate::CallRate(const CallRateOptions& options, const base::Clock& clock)
    : options_(options),
      buckets_({.per_second = options.per_second, .burst = options.burst}, clock) {}

absl::Status CallRate::Admit(const Caller& caller) {
  if (IsExempt(caller)) return absl::OkStatus();
  return ToStatus(caller, buckets_.Take(caller.identities.front()));
}

absl::Status CallRate::CheckOwed(const Caller& caller) {
  return ToStatus(caller, Owed(caller));
}

absl::Duration CallRate::Owed(const Caller& caller) {
  return IsExempt(caller) ? absl::ZeroDuration() : buckets_.Owed(caller.identities.front());
}

absl::Status CallRate::ToStatus(const Caller& caller, absl::Duration wait) const {
  if (wait <= absl::ZeroDuration()) return absl::OkStatus();
  const absl::Status status = absl::ResourceExhaustedError(absl::StrCat(
      caller.Description(), " has made more calls than it may: ", options_.per_second,
      " a second (access.callsPerSecond), ", options_.burst,
      " at once (access.callsBurst), where an answer counts as one more for each 16 KiB; try "
      "again in ",
      absl::FormatDuration(wait)));
  return WithRetryAfter(WithReason(status, "CALL_RATE_EXCEEDED"), wait);
}

std::size_t CallRate::Charge(const Caller& caller, std::size_t bytes) {
  if (!IsExempt(caller) && bytes >= kBytesOfToken) {
    buckets_.Charge(caller.identities.front(), static_cast<int>(bytes / kBytesOfToken));
  }
  return bytes % kBytesOfToken;
}

}  // namespace certwright::rpc
