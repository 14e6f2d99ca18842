// AccountDeactivation: ends the account of an ACME issuer for good (RFC 8555 §7.3.6).
//
// The CA is asked first, then the issuer's status says so; a call that was cut off in between
// is made good by calling again. From then on the account's key registers nothing and signs
// nothing. Another key (the Secret changed or deleted) or another spec.acme.server is a new
// beginning; any other change of the spec is not.
#pragma once

#include "absl/status/status.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/service/conditions.h"
#include "lib/service/environment.h"
#include "services/issuer/accounts.h"

namespace certwright::issuer_service {

class AccountDeactivation {
 public:
  // References must outlive this.
  AccountDeactivation(service::Environment environment, Accounts& accounts)
      : environment_(environment), accounts_(accounts) {}

  // OK also if it was deactivated before. FAILED_PRECONDITION if there is no account, or the CA
  // refuses; ABORTED while its key is being changed.
  runtime::Awaitable<absl::Status> Deactivate(runtime::Context context, AnyIssuer issuer);

 private:
  runtime::Awaitable<absl::Status> AskCa(runtime::Context context, const AnyIssuer& issuer,
                                         pki::PrivateKey key);
  runtime::Awaitable<absl::Status> WriteDown(AnyIssuer issuer, pki::PrivateKey key);

  const service::Environment environment_;
  Accounts& accounts_;
};

// The condition Ready of an issuer whose account has been deactivated.
service::ConditionUpdate DeactivatedCondition(const AnyIssuer& issuer);

}  // namespace certwright::issuer_service
