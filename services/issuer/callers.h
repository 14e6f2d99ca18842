// Callers: what depends on who calls beyond the permission to call a method
// (issuer_permissions.h).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/config/v1/issuer_config.pb.h"
#include "certwright/meta/v1/meta.pb.h"
#include "lib/rpc/call.h"
#include "services/issuer/approval_patterns.h"
#include "services/issuer/jws_policy.h"

namespace certwright::issuer_service {

// Someone who may approve and deny CertificateRequests.
struct Approver {
  std::string identity;
  // Of which issuers; empty: of all.
  std::vector<IssuerPattern> issuers;
};

// The approvers that the configuration names. Adds every problem to `problems`, as
// "approval.approvers[0].identity: is required".
std::vector<Approver> ParseApprovers(const config::v1::Approval& approval,
                                     std::vector<std::string>& problems);

class Callers {
 public:
  // Without approvers, everyone is one who may call the methods.
  explicit Callers(std::vector<Approver> approvers = {}) : approvers_(std::move(approvers)) {}

  // PERMISSION_DENIED unless the caller may have requests signed. Without mutual TLS the caller
  // is kUnknown.
  static absl::StatusOr<JwsCaller> SigningCaller(const rpc::CallContext& call);

  // PERMISSION_DENIED unless the caller may approve and deny requests for this issuer. Without
  // mutual TLS everyone may who can connect.
  absl::Status RequireApprover(const rpc::CallContext& call,
                               const meta::v1::IssuerRef& issuer) const;

  // The first identity of the caller; empty without mutual TLS.
  static std::string NameOf(const rpc::CallContext& call);

 private:
  const std::vector<Approver> approvers_;
};

}  // namespace certwright::issuer_service
