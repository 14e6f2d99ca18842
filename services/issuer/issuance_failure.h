// What the failure of an issuance asks for: how long to wait, and whether another CA may do
// better.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace certwright::issuer_service {

enum class FailureClass {
  // The CA, or the way to it, was at fault.
  kServer,
  // The proof that we show could not be fetched or was not the right one.
  kChallenge,
  // This CA does not sign these names, or not this request.
  kRefused,
};

// `type` is that of an ACME problem, without its prefix (RFC 8555 §6.7); empty if unknown.
FailureClass ClassOfProblem(absl::string_view type);

// The worst of several: what is refused stays refused, and a failed challenge is nobody
// else's fault.
FailureClass ClassOfProblems(const std::vector<std::string>& types);

// How long to wait after the Nth failure in a row, N from 1. Servers and challenges: 1, 5 and
// 25 min, then 1, 2, 4 and at most 6 h, which is four attempts in the first hour: public CAs
// end a name's hour after five. Refusals: 1 h, doubling up to 32 h.
absl::Duration FailureBackoff(FailureClass failure, int failed_attempts);

// Whether another CA may sign what this one did not.
bool AnotherIssuerMayHelp(FailureClass failure);

}  // namespace certwright::issuer_service
