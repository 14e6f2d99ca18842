// The RPCs of AccountService.
#pragma once

#include "certwright/issuer/v1/account.grpc.pb.h"
#include "lib/rpc/unary_handler.h"
#include "lib/service/environment.h"
#include "services/issuer/account_deactivation.h"
#include "services/issuer/account_rollover.h"
#include "services/issuer/accounts.h"
#include "services/issuer/callers.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class AccountRpc final : public issuer::v1::AccountService::CallbackService {
 public:
  // All must outlive this.
  AccountRpc(service::Environment environment, Stores& stores, Accounts& accounts,
             const rpc::HandlerEnvironment& handlers)
      : accounts_(accounts),
        handlers_(handlers),
        rollover_(environment, stores, accounts),
        deactivation_(environment, accounts) {}

  grpc::ServerUnaryReactor* GetAccount(grpc::CallbackServerContext* context,
                                       const issuer::v1::GetAccountRequest* request,
                                       issuer::v1::GetAccountResponse* response) override;
  grpc::ServerUnaryReactor* SignJws(grpc::CallbackServerContext* context,
                                    const issuer::v1::SignJwsRequest* request,
                                    issuer::v1::SignJwsResponse* response) override;
  grpc::ServerUnaryReactor* RolloverAccountKey(
      grpc::CallbackServerContext* context,
      const issuer::v1::RolloverAccountKeyRequest* request,
      issuer::v1::RolloverAccountKeyResponse* response) override;
  grpc::ServerUnaryReactor* DeactivateAccount(
      grpc::CallbackServerContext* context, const issuer::v1::DeactivateAccountRequest* request,
      issuer::v1::DeactivateAccountResponse* response) override;

 private:
  runtime::Awaitable<absl::StatusOr<issuer::v1::GetAccountResponse>> Get(
      rpc::CallContext call, issuer::v1::GetAccountRequest request);
  runtime::Awaitable<absl::StatusOr<issuer::v1::SignJwsResponse>> Sign(
      rpc::CallContext call, issuer::v1::SignJwsRequest request);
  runtime::Awaitable<absl::StatusOr<issuer::v1::RolloverAccountKeyResponse>> RollOver(
      rpc::CallContext call, issuer::v1::RolloverAccountKeyRequest request);
  runtime::Awaitable<absl::StatusOr<issuer::v1::DeactivateAccountResponse>> Deactivate(
      rpc::CallContext call, issuer::v1::DeactivateAccountRequest request);

  Accounts& accounts_;
  const rpc::HandlerEnvironment& handlers_;
  AccountRollover rollover_;
  AccountDeactivation deactivation_;
};

}  // namespace certwright::issuer_service
