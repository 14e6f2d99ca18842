#include "services/solver/certificate_authority.h"

#include <utility>

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

}  // namespace

std::unique_ptr<CertificateAuthorities> MakeCertificateAuthorities(
    const service::Issuers& issuers) {
  return std::make_unique<service::IssuerAuthorities<CertificateAuthority, AccountAuthority>>(
      issuers);
}

}  // namespace certwright::solver
