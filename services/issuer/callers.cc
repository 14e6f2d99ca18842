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

absl::StatusOr<JwsCaller> Callers::SigningCaller(const rpc::CallContext& call) {
  if (!call.caller.authenticated) return JwsCaller::kUnknown;
  if (call.caller.services.contains(rpc::ServiceRole::kOrder)) return JwsCaller::kOrder;
  if (call.caller.services.contains(rpc::ServiceRole::kSolver)) return JwsCaller::kSolver;
  return absl::PermissionDeniedError(
      "only the order and the solver service have requests signed");
}

absl::Status Callers::RequireApprover(const rpc::CallContext& call,
                                      const meta::v1::IssuerRef& issuer) const {
  if (!call.caller.authenticated || approvers_.empty()) return absl::OkStatus();
  const auto allows = [&](const Approver& approver) {
    if (std::ranges::count(call.caller.identities, approver.identity) == 0) return false;
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
  const rpc::Caller& caller = call.caller;
  return caller.authenticated && !caller.identities.empty() ? caller.identities.front() : "";
}

}  // namespace certwright::issuer_service
