// PrivateCas: the CAs that CA issuers sign with at present, so that what they have signed is
// held to them when they are replaced.
//
// Threading: safe from any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/base/mutex.h"
#include "lib/pki/certificate.h"

namespace certwright::issuer_service {

struct PrivateCa {
  pki::Certificate certificate;
  // What a server sends after its own certificate, in PEM; may be empty.
  std::string chain_pem;
  // What is to be trusted: ca.crt.
  std::string ca_pem;
  // Since when the issuer signs with it.
  absl::Time since = {};
  // How many Certificates name the issuer.
  std::size_t leaves = 0;
};

enum class CaFit {
  kFits,
  // The certificate leads to the CA, but what is above it in the Secret is not up to date.
  kOldChain,
  // The certificate leads elsewhere.
  kOtherCa,
};

// How the key pair in `secret`, from the issuer that signs with `ca`, fits it. What cannot be
// read fits, as others complain about it, and so does the CA's own certificate.
CaFit FitOf(const issuer::v1::Secret& secret, const PrivateCa& ca);

// Brings what is above the certificate in `secret` up to date. For kOldChain.
void PutChain(const PrivateCa& ca, issuer::v1::Secret& secret);

// Within this time after `ca.since` all that leads elsewhere is renewed: about one a second,
// and an hour at most.
absl::Duration SpreadOf(const PrivateCa& ca);

class PrivateCas {
 public:
  using Shared = std::shared_ptr<const PrivateCa>;

  // `certificates_of` gives the keys of the Certificates that name an issuer
  // (service::IssuerKey()), and `wake` has one of them looked at.
  PrivateCas(std::function<std::vector<std::string>(const std::string&)> certificates_of,
             std::function<void(const std::string&)> wake)
      : certificates_of_(std::move(certificates_of)), wake_(std::move(wake)) {}

  // Sets what an issuer signs with, `ca.leaves` too, and wakes its Certificates if that is
  // something else than before.
  void Set(const std::string& issuer_key, PrivateCa ca);
  // The issuer signs with no CA of its own, or cannot sign at present.
  void Forget(const std::string& issuer_key);
  // Null if that is not known.
  Shared Of(const std::string& issuer_key) const;

 private:
  const std::function<std::vector<std::string>(const std::string&)> certificates_of_;
  const std::function<void(const std::string&)> wake_;
  mutable base::Mutex mutex_;
  std::map<std::string, Shared> cas_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
