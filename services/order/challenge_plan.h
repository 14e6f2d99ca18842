// Which challenges an order needs at the solver service. All functions are pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/order/v1/order.pb.h"
#include "certwright/solver/v1/challenge.pb.h"
#include "services/order/solver_selection.h"

namespace certwright::order {

// What is to be proven, and how. INVALID_ARGUMENT if the authorization has no challenge of
// the type, or one whose token breaks the rule of RFC 8555 §8.
absl::StatusOr<solver::v1::Challenge> MakeChallenge(const v1::Order& order,
                                                    const v1::Authorization& authorization,
                                                    const SolverChoice& choice,
                                                    const std::string& key_thumbprint);

// The challenges that `order` lacks: of each authorization that needs one and has null in
// `present`, which is in the order of the authorizations. NOT_FOUND, with a sentence that
// names them, if some of these have no solver; INVALID_ARGUMENT as MakeChallenge().
absl::StatusOr<std::vector<solver::v1::Challenge>> PlanChallenges(
    const v1::Order& order, const std::vector<const solver::v1::Challenge*>& present,
    const Solvers& solvers, const std::string& key_thumbprint);

}  // namespace certwright::order
