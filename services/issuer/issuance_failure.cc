#include "services/issuer/issuance_failure.h"

#include <algorithm>
#include <array>

namespace certwright::issuer_service {
namespace {

constexpr std::array<absl::string_view, 5> kChallengeProblems = {
    "connection", "dns", "incorrectResponse", "tls", "unauthorized"};
constexpr std::array<absl::string_view, 6> kServerProblems = {
    "", "badNonce", "orderNotReady", "rateLimited", "serverInternal", "userActionRequired"};

template <std::size_t size>
bool Contains(const std::array<absl::string_view, size>& types, absl::string_view type) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

constexpr absl::Duration kFirstRefusalWait = absl::Hours(1);
constexpr absl::Duration kLongestRefusalWait = absl::Hours(32);

}  // namespace

FailureClass ClassOfProblem(absl::string_view type) {
  if (Contains(kChallengeProblems, type)) return FailureClass::kChallenge;
  if (Contains(kServerProblems, type)) return FailureClass::kServer;
  return FailureClass::kRefused;
}

FailureClass ClassOfProblems(const std::vector<std::string>& types) {
  FailureClass worst = FailureClass::kServer;
  for (const std::string& type : types) worst = std::max(worst, ClassOfProblem(type));
  return worst;
}

absl::Duration FailureBackoff(FailureClass failure, int failed_attempts) {
  const int index = std::max(failed_attempts, 1) - 1;
  if (failure == FailureClass::kRefused) {
    return std::min(kFirstRefusalWait * (1 << std::min(index, 10)), kLongestRefusalWait);
  }
  static const std::array<absl::Duration, 7> waits = {
      absl::Minutes(1), absl::Minutes(5), absl::Minutes(25), absl::Hours(1),
      absl::Hours(2),   absl::Hours(4),   absl::Hours(6)};
  return waits[std::min<std::size_t>(static_cast<std::size_t>(index), waits.size() - 1)];
}

bool AnotherIssuerMayHelp(FailureClass failure) { return failure != FailureClass::kChallenge; }

}  // namespace certwright::issuer_service
