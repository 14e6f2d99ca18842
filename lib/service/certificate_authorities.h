// CertificateAuthorities: finds the CA of an issuer, as an `Authority`: the interface that a
// service has to an ACME account, with the calls that it needs and no more.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "certwright/meta/v1/meta.pb.h"
#include "lib/base/status_macros.h"
#include "lib/service/issuers.h"

namespace certwright::service {

template <typename Authority>
class CertificateAuthorities {
 public:
  virtual ~CertificateAuthorities() = default;
  // Errors as Issuers::Find().
  virtual absl::StatusOr<std::shared_ptr<Authority>> Find(
      const meta::v1::IssuerRef& ref, const std::string& resource_namespace) = 0;
};

// Those that the issuer service knows. An `OfAccount` is an Authority made of an AcmeAccount.
// `issuers` must outlive it, and what it found.
template <typename Authority, typename OfAccount>
class IssuerAuthorities final : public CertificateAuthorities<Authority> {
 public:
  explicit IssuerAuthorities(const Issuers& issuers) : issuers_(issuers) {}

  absl::StatusOr<std::shared_ptr<Authority>> Find(
      const meta::v1::IssuerRef& ref, const std::string& resource_namespace) override {
    CW_ASSIGN_OR_RETURN(std::shared_ptr<const AcmeAccount> account,
                        issuers_.Find(ref, resource_namespace));
    return std::shared_ptr<Authority>(std::make_shared<OfAccount>(std::move(account)));
  }

 private:
  const Issuers& issuers_;
};

}  // namespace certwright::service
