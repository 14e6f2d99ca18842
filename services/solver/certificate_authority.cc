#include "services/solver/certificate_authority.h"

#include <utility>

#include "lib/base/status_macros.h"

namespace certwright::solver {
namespace {

using runtime::Awaitable;
using runtime::Context;

class AccountAuthority final : public CertificateAuthority {
 public:
  explicit AccountAuthority(std::shared_ptr<const service::AcmeAccount> account)
      : account_(std::move(account)) {}

  Awaitable<absl::StatusOr<acme::Authorization>> GetAuthorization(Context context,
                                                                  std::string url) override {
    return account_->client->GetAuthorization(std::move(context), *account_->signer,
                                              std::move(url));
  }

  Awaitable<absl::StatusOr<acme::Challenge>> AcceptChallenge(Context context,
                                                             std::string url) override {
    return account_->client->AcceptChallenge(std::move(context), *account_->signer,
                                             std::move(url));
  }

 private:
  const std::shared_ptr<const service::AcmeAccount> account_;
};

class IssuerAuthorities final : public CertificateAuthorities {
 public:
  explicit IssuerAuthorities(const service::Issuers& issuers) : issuers_(issuers) {}

  absl::StatusOr<std::shared_ptr<CertificateAuthority>> Find(
      const meta::v1::IssuerRef& ref, const std::string& resource_namespace) override {
    CW_ASSIGN_OR_RETURN(std::shared_ptr<const service::AcmeAccount> account,
                        issuers_.Find(ref, resource_namespace));
    return std::shared_ptr<CertificateAuthority>(
        std::make_shared<AccountAuthority>(std::move(account)));
  }

 private:
  const service::Issuers& issuers_;
};

}  // namespace

std::unique_ptr<CertificateAuthorities> MakeCertificateAuthorities(
    const service::Issuers& issuers) {
  return std::make_unique<IssuerAuthorities>(issuers);
}

}  // namespace certwright::solver
