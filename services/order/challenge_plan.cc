#include "services/order/challenge_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/acme/key_authorization.h"
#include "lib/base/status_macros.h"
#include "lib/service/challenge_name.h"
#include "services/order/order_decision.h"
#include "services/order/order_names.h"

namespace certwright::order {
namespace {

// Names without solver that a sentence explains; their explanations are long.
constexpr std::size_t kMaxExplained = 3;

std::string KeyFor(solver::v1::ChallengeType type, const std::string& token,
                   const std::string& key_thumbprint) {
  std::string key = acme::KeyAuthorization(token, key_thumbprint);
  return type == solver::v1::CHALLENGE_TYPE_DNS01 ? acme::Dns01Digest(key) : key;
}

}  // namespace

absl::StatusOr<solver::v1::Challenge> MakeChallenge(const v1::Order& order,
                                                    const v1::Authorization& authorization,
                                                    const SolverChoice& choice,
                                                    const std::string& key_thumbprint) {
  const std::string type = AcmeTypeName(choice.type);
  const auto& offered = authorization.challenges();
  const auto found = std::find_if(offered.begin(), offered.end(), [&](const auto& challenge) {
    return challenge.type() == type;
  });
  if (found == offered.end() || !acme::IsValidToken(found->token())) {
    return absl::InvalidArgumentError(absl::StrCat(DisplayName(authorization),
                                                   ": the CA offers no ", type,
                                                   " challenge that can be used"));
  }
  solver::v1::Challenge challenge;
  auto& metadata = *challenge.mutable_metadata();
  metadata.set_namespace_(order.metadata().namespace_());
  metadata.set_name(service::ChallengeName(order, authorization));
  metadata.mutable_owner()->set_kind("Order");
  metadata.mutable_owner()->set_namespace_(order.metadata().namespace_());
  metadata.mutable_owner()->set_name(order.metadata().name());
  metadata.mutable_owner()->set_uid(order.metadata().uid());
  auto& spec = *challenge.mutable_spec();
  spec.set_url(found->url());
  spec.set_authorization_url(authorization.url());
  spec.set_dns_name(authorization.identifier());
  spec.set_wildcard(authorization.wildcard());
  spec.set_type(choice.type);
  spec.set_token(found->token());
  spec.set_key(KeyFor(choice.type, found->token(), key_thumbprint));
  *spec.mutable_issuer_ref() = order.spec().issuer_ref();
  spec.set_solver_name(choice.solver_name);
  return challenge;
}

absl::StatusOr<std::vector<solver::v1::Challenge>> PlanChallenges(
    const v1::Order& order, const std::vector<const solver::v1::Challenge*>& present,
    const Solvers& solvers, const std::string& key_thumbprint) {
  std::vector<std::string> unsolved;
  std::vector<solver::v1::Challenge> planned;
  for (int i = 0; i < order.status().authorizations_size(); ++i) {
    const v1::Authorization& authorization = order.status().authorizations(i);
    if (!NeedsChallenge(authorization) || present[i] != nullptr) continue;
    NameToProve name;
    name.identifier = authorization.identifier();
    name.wildcard = authorization.wildcard();
    for (const auto& offer : authorization.challenges()) name.offered.push_back(offer.type());
    const auto choice = SelectSolver(solvers, name, order.metadata().labels());
    if (!choice.ok()) {
      unsolved.push_back(std::string(choice.status().message()));
      continue;
    }
    CW_ASSIGN_OR_RETURN(solver::v1::Challenge challenge,
                        MakeChallenge(order, authorization, *choice, key_thumbprint));
    planned.push_back(std::move(challenge));
  }
  if (unsolved.empty()) return planned;
  if (unsolved.size() > kMaxExplained) {
    const std::size_t more = unsolved.size() - kMaxExplained;
    unsolved.resize(kMaxExplained);
    unsolved.push_back(absl::StrCat("and no solver for ", more, " more"));
  }
  return absl::NotFoundError(absl::StrJoin(unsolved, "; "));
}

}  // namespace certwright::order
