// CertificateAuthority: what an order needs of its CA, for one account.
//
// Errors are those of acme::AcmeClient. Threading: safe from any thread.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "lib/acme/client.h"
#include "lib/acme/objects.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/service/certificate_authorities.h"
#include "lib/service/issuers.h"

namespace certwright::order {

class CertificateAuthority {
 public:
  virtual ~CertificateAuthority() = default;

  // The issuer's settings, and the thumbprint of the account's key.
  virtual const issuer::v1::AcmeIssuer& spec() const = 0;
  virtual const std::string& key_thumbprint() const = 0;

  // A profile that the CA does not list is not asked for.
  virtual runtime::Awaitable<absl::StatusOr<acme::Order>> NewOrder(
      runtime::Context context, acme::NewOrderRequest request) = 0;
  virtual runtime::Awaitable<absl::StatusOr<acme::Order>> GetOrder(runtime::Context context,
                                                                   std::string url) = 0;
  virtual runtime::Awaitable<absl::StatusOr<acme::Order>> Finalize(runtime::Context context,
                                                                   std::string url,
                                                                   std::string finalize_url,
                                                                   std::string csr_der) = 0;
  virtual runtime::Awaitable<absl::StatusOr<acme::Authorization>> GetAuthorization(
      runtime::Context context, std::string url) = 0;
  virtual runtime::Awaitable<absl::StatusOr<acme::Authorization>> DeactivateAuthorization(
      runtime::Context context, std::string url) = 0;
  virtual runtime::Awaitable<absl::StatusOr<acme::CertificateChain>> DownloadCertificate(
      runtime::Context context, std::string url) = 0;
  virtual runtime::Awaitable<absl::StatusOr<acme::CertificateChain>> DownloadAlternate(
      runtime::Context context, std::string url) = 0;
};

using CertificateAuthorities = service::CertificateAuthorities<CertificateAuthority>;

// Those that the issuer service knows. `issuers` must outlive it, and what it found.
std::unique_ptr<CertificateAuthorities> MakeCertificateAuthorities(
    const service::Issuers& issuers);

}  // namespace certwright::order
