#include "services/order/certificate_authority.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/telemetry/log.h"

namespace certwright::order {
namespace {

using runtime::Awaitable;
using runtime::Context;

class AccountAuthority final : public CertificateAuthority {
 public:
  explicit AccountAuthority(std::shared_ptr<const service::AcmeAccount> account)
      : account_(std::move(account)) {}

  const issuer::v1::AcmeIssuer& spec() const override { return account_->spec; }
  const std::string& key_thumbprint() const override { return account_->key_thumbprint; }

  Awaitable<absl::StatusOr<acme::Order>> NewOrder(Context context,
                                                  acme::NewOrderRequest request) override {
    if (!request.profile.empty()) {
      CW_CO_ASSIGN_OR_RETURN(const acme::DirectoryCache::Shared directory,
                             co_await account_->client->GetDirectory(context));
      if (directory->meta.profiles.count(request.profile) == 0) {
        telemetry::LogWarning("the CA does not list the profile, so it is not asked for",
                              {{"profile", request.profile}, {"server", spec().server()}});
        request.profile.clear();
      }
    }
    co_return co_await account_->client->NewOrder(context, signer(), std::move(request));
  }

  Awaitable<absl::StatusOr<acme::Order>> GetOrder(Context context, std::string url) override {
    return account_->client->GetOrder(std::move(context), signer(), std::move(url));
  }

  Awaitable<absl::StatusOr<acme::Order>> Finalize(Context context, std::string url,
                                                  std::string finalize_url,
                                                  std::string csr_der) override {
    return account_->client->Finalize(std::move(context), signer(), std::move(url),
                                      std::move(finalize_url), std::move(csr_der));
  }

  Awaitable<absl::StatusOr<acme::Authorization>> GetAuthorization(Context context,
                                                                  std::string url) override {
    return account_->client->GetAuthorization(std::move(context), signer(), std::move(url));
  }

  Awaitable<absl::StatusOr<acme::Authorization>> DeactivateAuthorization(
      Context context, std::string url) override {
    return account_->client->DeactivateAuthorization(std::move(context), signer(),
                                                     std::move(url));
  }

  Awaitable<absl::StatusOr<acme::CertificateChain>> DownloadCertificate(
      Context context, std::string url) override {
    return account_->client->DownloadCertificate(std::move(context), signer(), std::move(url));
  }

  Awaitable<absl::StatusOr<acme::CertificateChain>> DownloadAlternate(
      Context context, std::string url) override {
    return account_->client->DownloadAlternate(std::move(context), signer(), std::move(url));
  }

 private:
  acme::JwsSigner& signer() const { return *account_->signer; }

  const std::shared_ptr<const service::AcmeAccount> account_;
};

}  // namespace

std::unique_ptr<CertificateAuthorities> MakeCertificateAuthorities(
    const service::Issuers& issuers) {
  return std::make_unique<service::IssuerAuthorities<CertificateAuthority, AccountAuthority>>(
      issuers);
}

}  // namespace certwright::order
