#include "services/issuer/account_rpc.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/pki/jose.h"
#include "lib/rpc/status.h"
#include "lib/service/metadata.h"
#include "services/issuer/callers.h"
#include "services/issuer/jws_policy.h"

namespace certwright::issuer_service {

namespace v1 = issuer::v1;

namespace {

constexpr std::size_t kMaxPayload = 128 << 10;

absl::Status CheckSignRequest(const v1::SignJwsRequest& request) {
  rpc::Violations violations;
  service::CheckIssuerRef(request.issuer_ref(), "issuerRef", violations);
  violations.Require(!request.url().empty(), "url", "is required");
  violations.Require(!request.nonce().empty(), "nonce", "is required");
  violations.Require(request.payload().size() <= kMaxPayload, "payload",
                     "must be at most 128 KiB");
  return violations.ToStatus();
}

template <typename Request>
absl::Status CheckNamesIssuer(const Request& request) {
  rpc::Violations violations;
  service::CheckIssuerRef(request.issuer_ref(), "issuerRef", violations);
  return violations.ToStatus();
}

v1::Account Describe(const std::string& uri, const std::string& server,
                     const pki::PublicKey& key) {
  v1::Account account;
  account.set_uri(uri);
  account.set_key_thumbprint(pki::JwkThumbprint(key));
  account.set_server(server);
  account.set_key_algorithm(pki::JoseAlgorithm(key));
  return account;
}

}  // namespace

runtime::Awaitable<absl::StatusOr<v1::GetAccountResponse>> AccountRpc::Get(
    rpc::CallContext call, v1::GetAccountRequest request) {
  if (request.namespace_().empty()) request.set_namespace_(service::kDefaultNamespace);
  CW_CO_ASSIGN_OR_RETURN(
      const std::shared_ptr<const SigningAccount> account,
      co_await accounts_.Find(call.context, request.issuer_ref(), request.namespace_()));
  v1::GetAccountResponse response;
  *response.mutable_account() =
      Describe(account->uri, account->client->options().directory_url, account->public_key);
  co_return response;
}

runtime::Awaitable<absl::StatusOr<v1::RolloverAccountKeyResponse>> AccountRpc::RollOver(
    rpc::CallContext call, v1::RolloverAccountKeyRequest request) {
  CW_CO_RETURN_IF_ERROR(CheckNamesIssuer(request));
  if (request.namespace_().empty()) request.set_namespace_(service::kDefaultNamespace);
  CW_CO_ASSIGN_OR_RETURN(
      const AnyIssuer issuer,
      co_await accounts_.FindIssuer(call.context, request.issuer_ref(), request.namespace_()));
  CW_CO_ASSIGN_OR_RETURN(const pki::PublicKey key,
                         co_await rollover_.RollOver(call.context, issuer));
  v1::RolloverAccountKeyResponse response;
  *response.mutable_account() =
      Describe(issuer.status.acme().uri(), issuer.spec.acme().server(), key);
  co_return response;
}

runtime::Awaitable<absl::StatusOr<v1::DeactivateAccountResponse>> AccountRpc::Deactivate(
    rpc::CallContext call, v1::DeactivateAccountRequest request) {
  CW_CO_RETURN_IF_ERROR(CheckNamesIssuer(request));
  if (request.namespace_().empty()) request.set_namespace_(service::kDefaultNamespace);
  CW_CO_ASSIGN_OR_RETURN(
      AnyIssuer issuer,
      co_await accounts_.FindIssuer(call.context, request.issuer_ref(), request.namespace_()));
  CW_CO_RETURN_IF_ERROR(co_await deactivation_.Deactivate(call.context, std::move(issuer)));
  co_return v1::DeactivateAccountResponse();
}

runtime::Awaitable<absl::StatusOr<v1::SignJwsResponse>> AccountRpc::Sign(
    rpc::CallContext call, v1::SignJwsRequest request) {
  CW_CO_RETURN_IF_ERROR(CheckSignRequest(request));
  CW_CO_ASSIGN_OR_RETURN(const JwsCaller caller, Callers::SigningCaller(call));
  if (request.namespace_().empty()) request.set_namespace_(service::kDefaultNamespace);
  CW_CO_ASSIGN_OR_RETURN(
      const std::shared_ptr<const SigningAccount> account,
      co_await accounts_.Find(call.context, request.issuer_ref(), request.namespace_()));
  CW_CO_ASSIGN_OR_RETURN(const acme::DirectoryCache::Shared directory,
                         co_await account->client->GetDirectory(call.context));
  CW_CO_RETURN_IF_ERROR(CheckJwsUrl(request.url(), caller, *directory,
                                    account->client->options().directory_url, account->uri));
  acme::SignRequest sign;
  sign.url = std::move(*request.mutable_url());
  sign.nonce = std::move(*request.mutable_nonce());
  sign.payload = std::move(*request.mutable_payload());
  CW_CO_ASSIGN_OR_RETURN(acme::SignedRequest signed_request, account->signer->SignNow(sign));
  v1::SignJwsResponse response;
  response.set_jws(std::move(signed_request.body));
  co_return response;
}

void AccountRpc::AddMethods() {
  Unary<v1::GetAccountRequest>([this](rpc::CallContext call, const auto& request) {
    return Get(std::move(call), request);
  });
  Unary<v1::SignJwsRequest>([this](rpc::CallContext call, const auto& request) {
    return Sign(std::move(call), request);
  });
  Unary<v1::RolloverAccountKeyRequest>([this](rpc::CallContext call, const auto& request) {
    return RollOver(std::move(call), request);
  });
  Unary<v1::DeactivateAccountRequest>([this](rpc::CallContext call, const auto& request) {
    return Deactivate(std::move(call), request);
  });
}

}  // namespace certwright::issuer_service
