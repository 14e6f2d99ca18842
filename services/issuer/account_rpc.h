// The RPCs of AccountService.
#pragma once

#include "certwright/issuer/v1/account.pb.h"
#include "lib/rpc/service.h"
#include "lib/service/environment.h"
#include "services/issuer/account_deactivation.h"
#include "services/issuer/account_rollover.h"
#include "services/issuer/accounts.h"
#include "services/issuer/callers.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class AccountRpc final : public rpc::Service {
 public:
  // All must outlive this.
  AccountRpc(service::Environment environment, Stores& stores, Accounts& accounts,
             const rpc::CallEnvironment& calls)
      : Service("certwright.issuer.v1.AccountService", calls),
        accounts_(accounts),
        rollover_(environment, stores, accounts),
        deactivation_(environment, accounts) {
    AddMethods();
  }

 private:
  void AddMethods();

  runtime::Awaitable<absl::StatusOr<issuer::v1::GetAccountResponse>> Get(
      rpc::CallContext call, issuer::v1::GetAccountRequest request);
  runtime::Awaitable<absl::StatusOr<issuer::v1::SignJwsResponse>> Sign(
      rpc::CallContext call, issuer::v1::SignJwsRequest request);
  runtime::Awaitable<absl::StatusOr<issuer::v1::RolloverAccountKeyResponse>> RollOver(
      rpc::CallContext call, issuer::v1::RolloverAccountKeyRequest request);
  runtime::Awaitable<absl::StatusOr<issuer::v1::DeactivateAccountResponse>> Deactivate(
      rpc::CallContext call, issuer::v1::DeactivateAccountRequest request);

  Accounts& accounts_;
  AccountRollover rollover_;
  AccountDeactivation deactivation_;
};

}  // namespace certwright::issuer_service
