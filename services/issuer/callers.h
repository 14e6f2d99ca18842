// Callers: which of the other services a call comes from, and what it may do, by its
// certificate.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/config/v1/issuer_config.pb.h"
#include "certwright/meta/v1/meta.pb.h"
#include "lib/rpc/unary_handler.h"
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
  // SANs of the certificates of the two services. Without approvers, everyone is one.
  Callers(std::set<std::string> order_identities, std::set<std::string> solver_identities,
          std::vector<Approver> approvers = {})
      : order_(std::move(order_identities)),
        solver_(std::move(solver_identities)),
        approvers_(std::move(approvers)) {}

  // PERMISSION_DENIED unless the caller may have requests signed. Without mutual TLS only this
  // machine can connect, and the caller is kUnknown.
  absl::StatusOr<JwsCaller> SigningCaller(const rpc::CallContext& call) const;

  // PERMISSION_DENIED unless the caller may read the credentials of solvers.
  absl::Status RequireSolver(const rpc::CallContext& call) const;

  // PERMISSION_DENIED unless the caller may approve and deny requests for this issuer. Without
  // mutual TLS everyone may who can connect.
  absl::Status RequireApprover(const rpc::CallContext& call,
                               const meta::v1::IssuerRef& issuer) const;

  // The first subject alternative name of the caller's certificate; empty without mutual TLS.
  static std::string NameOf(const rpc::CallContext& call);

 private:
  static bool Has(const std::set<std::string>& identities, const rpc::CallContext& call);

  const std::set<std::string> order_;
  const std::set<std::string> solver_;
  const std::vector<Approver> approvers_;
};

}  // namespace certwright::issuer_service
