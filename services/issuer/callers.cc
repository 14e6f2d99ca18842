#include "services/issuer/callers.h"

#include <algorithm>

namespace certwright::issuer_service {

bool Callers::Has(const std::set<std::string>& identities, const rpc::CallContext& call) {
  return std::any_of(
      call.identities.begin(), call.identities.end(),
      [&](const std::string& identity) { return identities.contains(identity); });
}

absl::StatusOr<JwsCaller> Callers::SigningCaller(const rpc::CallContext& call) const {
  if (!call.authenticated) return JwsCaller::kUnknown;
  if (Has(order_, call)) return JwsCaller::kOrder;
  if (Has(solver_, call)) return JwsCaller::kSolver;
  return absl::PermissionDeniedError(
      "only the order and the solver service have requests signed");
}

absl::Status Callers::RequireSolver(const rpc::CallContext& call) const {
  if (!call.authenticated || Has(solver_, call)) return absl::OkStatus();
  return absl::PermissionDeniedError("only the solver service may resolve solvers");
}

}  // namespace certwright::issuer_service
