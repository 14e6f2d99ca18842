// Callers: which of the other services a call comes from, by its certificate.
#pragma once

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "lib/rpc/unary_handler.h"
#include "services/issuer/jws_policy.h"

namespace certwright::issuer_service {

class Callers {
 public:
  // SANs of the certificates of the two services.
  Callers(std::set<std::string> order_identities, std::set<std::string> solver_identities)
      : order_(std::move(order_identities)), solver_(std::move(solver_identities)) {}

  // PERMISSION_DENIED unless the caller may have requests signed. Without mutual TLS only this
  // machine can connect, and the caller is kUnknown.
  absl::StatusOr<JwsCaller> SigningCaller(const rpc::CallContext& call) const;

  // PERMISSION_DENIED unless the caller may read the credentials of solvers.
  absl::Status RequireSolver(const rpc::CallContext& call) const;

 private:
  static bool Has(const std::set<std::string>& identities, const rpc::CallContext& call);

  const std::set<std::string> order_;
  const std::set<std::string> solver_;
};

}  // namespace certwright::issuer_service
