#include "services/order/order_tidying.h"

#include <string>
#include <utility>

#include "lib/service/challenge_name.h"
#include "services/order/order_decision.h"

namespace certwright::order {
namespace {

using AuthorizationCall = runtime::Awaitable<absl::StatusOr<acme::Authorization>>;

solver::v1::ChallengeState StateOf(const solver::v1::Challenge* challenge) {
  return challenge == nullptr ? solver::v1::CHALLENGE_STATE_UNSPECIFIED
                              : challenge->status().state();
}

// An authorization that nobody has read yet is only given up if it is not proven already: one
// that is serves other orders, too.
AuthorizationCall DeactivateUnread(runtime::Context context, CertificateAuthority& authority,
                                   std::string url) {
  absl::StatusOr<acme::Authorization> read = co_await authority.GetAuthorization(context, url);
  if (!read.ok() || read->status != acme::AuthorizationStatus::kPending) co_return read;
  co_return co_await authority.DeactivateAuthorization(context, url);
}

}  // namespace

runtime::Awaitable<std::vector<acme::Authorization>> ReadUnproven(
    runtime::Context context, CertificateAuthority& authority, const v1::Order& order,
    const PresentChallenges& challenges) {
  std::vector<AuthorizationCall> reads;
  for (int i = 0; i < order.status().authorizations_size(); ++i) {
    const v1::Authorization& authorization = order.status().authorizations(i);
    if (!NeedsChallenge(authorization)) continue;
    if (StateOf(challenges[i]) == solver::v1::CHALLENGE_STATE_VALID) continue;
    reads.push_back(authority.GetAuthorization(context, authorization.url()));
  }
  auto results = co_await runtime::WhenAll(std::move(reads));
  std::vector<acme::Authorization> authorizations;
  for (absl::StatusOr<acme::Authorization>& result : results) {
    if (result.ok()) authorizations.push_back(*std::move(result));
  }
  co_return authorizations;
}

runtime::Awaitable<void> DeactivatePending(runtime::Context context,
                                           CertificateAuthority& authority,
                                           const v1::Order& order,
                                           const PresentChallenges& challenges) {
  std::vector<AuthorizationCall> calls;
  for (int i = 0; i < order.status().authorizations_size(); ++i) {
    const v1::Authorization& authorization = order.status().authorizations(i);
    if (authorization.initial_state().empty()) {
      calls.push_back(DeactivateUnread(context, authority, authorization.url()));
      continue;
    }
    if (authorization.initial_state() != "pending") continue;
    const solver::v1::ChallengeState state = StateOf(challenges[i]);
    // The CA has decided about these.
    if (state == solver::v1::CHALLENGE_STATE_VALID ||
        state == solver::v1::CHALLENGE_STATE_INVALID) {
      continue;
    }
    calls.push_back(authority.DeactivateAuthorization(context, authorization.url()));
  }
  co_await runtime::WhenAll(std::move(calls));
}

runtime::Awaitable<void> DeleteOpenChallenges(runtime::Context context, Challenges& solver,
                                              const v1::Order& order,
                                              const PresentChallenges& challenges) {
  std::vector<runtime::Awaitable<absl::Status>> deletions;
  for (const solver::v1::Challenge* challenge : challenges) {
    if (challenge == nullptr || IsFinal(challenge->status().state())) continue;
    deletions.push_back(
        solver.Delete(context, order.metadata().namespace_(), challenge->metadata().name()));
  }
  co_await runtime::WhenAll(std::move(deletions));
}

runtime::Awaitable<absl::Status> DeleteAllChallenges(runtime::Context context,
                                                     Challenges& solver,
                                                     const v1::Order& order) {
  std::vector<runtime::Awaitable<absl::Status>> deletions;
  for (const v1::Authorization& authorization : order.status().authorizations()) {
    if (!NeedsChallenge(authorization)) continue;
    deletions.push_back(solver.Delete(context, order.metadata().namespace_(),
                                      service::ChallengeName(order, authorization)));
  }
  const std::vector<absl::Status> results = co_await runtime::WhenAll(std::move(deletions));
  absl::Status first;
  for (const absl::Status& result : results) first.Update(result);
  co_return first;
}

}  // namespace certwright::order
