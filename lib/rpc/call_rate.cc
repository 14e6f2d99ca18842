#include "lib/rpc/call_rate.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/rpc/status.h"

namespace certwright::rpc {
namespace {

constexpr std::size_t kBytesOfToken = 16 << 10;
// That are remembered.
constexpr std::size_t kMaxIdentities = 10'000;

}  // namespace

CallRate::CallRate(const CallRateOptions& options, const base::Clock& clock)
    : rates_({options.per_second, options.burst}, options.own, kMaxIdentities, clock) {}

absl::Status CallRate::Admit(const Caller& caller) {
  return ToStatus(caller, rates_.Take(caller));
}

absl::Status CallRate::CheckOwed(const Caller& caller) {
  return ToStatus(caller, rates_.Owed(caller));
}

absl::Duration CallRate::Owed(const Caller& caller) { return rates_.Owed(caller); }

absl::Status CallRate::ToStatus(const Caller& caller, absl::Duration wait) {
  if (wait <= absl::ZeroDuration()) return absl::OkStatus();
  const Rate& rate = rates_.RateOf(caller);
  const absl::Status status = absl::ResourceExhaustedError(absl::StrCat(
      caller.Description(), " has made more calls than it may: ", rate.per_second,
      " a second (access.callsPerSecond), ", rate.burst,
      " at once (access.callsBurst) unless access.rates says otherwise, where an answer counts "
      "as one more for each 16 KiB; try again in ",
      absl::FormatDuration(wait)));
  return WithRetryAfter(WithReason(status, "CALL_RATE_EXCEEDED"), wait);
}

std::size_t CallRate::Charge(const Caller& caller, std::size_t bytes) {
  if (bytes >= kBytesOfToken) {
    rates_.Charge(caller, static_cast<int>(bytes / kBytesOfToken));
  }
  return bytes % kBytesOfToken;
}

}  // namespace certwright::rpc
