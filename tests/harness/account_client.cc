#include "tests/harness/account_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"

namespace certwright::harness {
namespace {

constexpr char kClusterNamespace[] = "certwright";

}  // namespace

AccountClient::AccountClient(const Suite& suite, SuiteClient& client, std::string issuer)
    : client_(client),
      issuer_(std::move(issuer)),
      accounts_(issuer::v1::AccountService::NewStub(suite.channel(Service::kIssuer))) {}

meta::v1::IssuerRef AccountClient::Ref() const {
  meta::v1::IssuerRef ref;
  ref.set_name(issuer_);
  ref.set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  return ref;
}

absl::StatusOr<issuer::v1::Account> AccountClient::Get() {
  issuer::v1::GetAccountRequest request;
  *request.mutable_issuer_ref() = Ref();
  issuer::v1::GetAccountResponse response;
  CW_RETURN_IF_ERROR(FromGrpc(accounts_->GetAccount(MakeContext().get(), request, &response)));
  return response.account();
}

absl::StatusOr<issuer::v1::Account> AccountClient::RollOver(absl::Duration timeout) {
  issuer::v1::RolloverAccountKeyRequest request;
  *request.mutable_issuer_ref() = Ref();
  issuer::v1::RolloverAccountKeyResponse response;
  CW_RETURN_IF_ERROR(
      FromGrpc(accounts_->RolloverAccountKey(MakeContext(timeout).get(), request, &response)));
  return response.account();
}

absl::Status AccountClient::Deactivate() {
  issuer::v1::DeactivateAccountRequest request;
  *request.mutable_issuer_ref() = Ref();
  issuer::v1::DeactivateAccountResponse response;
  return FromGrpc(accounts_->DeactivateAccount(MakeContext().get(), request, &response));
}

absl::StatusOr<std::map<std::string, std::string>> AccountClient::Keys() {
  issuer::v1::GetSecretRequest request;
  request.set_namespace_(kClusterNamespace);
  request.set_name(absl::StrCat(issuer_, "-account-key"));
  issuer::v1::GetSecretResponse response;
  CW_RETURN_IF_ERROR(
      FromGrpc(client_.secrets().GetSecret(MakeContext().get(), request, &response)));
  return std::map<std::string, std::string>(response.secret().data().begin(),
                                            response.secret().data().end());
}

std::string AccountClient::IssuerConditions() {
  issuer::v1::GetClusterIssuerRequest request;
  request.set_name(issuer_);
  issuer::v1::GetClusterIssuerResponse response;
  const absl::Status status =
      FromGrpc(client_.issuers().GetClusterIssuer(MakeContext().get(), request, &response));
  return status.ok() ? DescribeConditions(response.cluster_issuer().status().conditions())
                     : std::string(status.message());
}

}  // namespace certwright::harness
