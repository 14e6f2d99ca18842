#include "services/issuer/callers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/rpc/validation.h"
#include "lib/service/issuer_ref.h"

namespace certwright::issuer_service {

std::vector<Approver> ParseApprovers(const config::v1::Approval& approval,
                                     std::vector<std::string>& problems) {
  std::vector<Approver> approvers;
  for (int i = 0; i < approval.approvers_size(); ++i) {
    const std::string field = rpc::Indexed("approval.approvers", i);
    Approver approver;
    approver.identity = approval.approvers(i).identity();
    if (approver.identity.empty()) {
      problems.push_back(absl::StrCat(field, ".identity: is required"));
    }
    for (int j = 0; j < approval.approvers(i).issuers_size(); ++j) {
      auto pattern = IssuerPattern::Parse(approval.approvers(i).issuers(j));
      if (pattern.ok()) {
        approver.issuers.push_back(*std::move(pattern));
      } else {
        problems.push_back(absl::StrCat(field, ".", rpc::Indexed("issuers", j), ": ",
                                        pattern.status().message()));
      }
    }
    approvers.push_back(std::move(approver));
  }
  return approvers;
}

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

absl::Status Callers::RequireApprover(const rpc::CallContext& call,
                                      const meta::v1::IssuerRef& issuer) const {
  if (!call.authenticated || approvers_.empty()) return absl::OkStatus();
  const auto allows = [&](const Approver& approver) {
    if (!Has({approver.identity}, call)) return false;
    return approver.issuers.empty() ||
           std::any_of(approver.issuers.begin(), approver.issuers.end(),
                       [&](const IssuerPattern& pattern) { return pattern.Matches(issuer); });
  };
  if (std::any_of(approvers_.begin(), approvers_.end(), allows)) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "the caller may not approve or deny requests for the ", service::IssuerKindName(issuer),
      " ", issuer.name(),
      ": approval.approvers of the issuer service's configuration does not name it"));
}

std::string Callers::NameOf(const rpc::CallContext& call) {
  return call.authenticated && !call.identities.empty() ? call.identities.front() : "";
}

}  // namespace certwright::issuer_service
