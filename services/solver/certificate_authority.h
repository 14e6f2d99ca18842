// CertificateAuthority: what a challenge needs of its CA, for one account.
//
// Errors are those of acme::AcmeClient. Threading: safe from any thread.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/acme/objects.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/service/certificate_authorities.h"
#include "lib/service/issuers.h"

namespace certwright::solver {

class CertificateAuthority {
 public:
  virtual ~CertificateAuthority() = default;
  virtual runtime::Awaitable<absl::StatusOr<acme::Authorization>> GetAuthorization(
      runtime::Context context, std::string url) = 0;
  // Tells the CA that it may look now.
  virtual runtime::Awaitable<absl::StatusOr<acme::Challenge>> AcceptChallenge(
      runtime::Context context, std::string url) = 0;
};

using CertificateAuthorities = service::CertificateAuthorities<CertificateAuthority>;

// Those that the issuer service knows. `issuers` must outlive it, and what it found.
std::unique_ptr<CertificateAuthorities> MakeCertificateAuthorities(
    const service::Issuers& issuers);

}  // namespace certwright::solver
