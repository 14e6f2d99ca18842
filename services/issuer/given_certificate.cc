#include "services/issuer/given_certificate.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/digest.h"
#include "lib/rpc/status.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

std::string FingerprintOf(const pki::Certificate& certificate) {
  return absl::BytesToHexString(pki::Sha256(certificate.der));
}

bool WasGiven(const issuer::v1::Certificate& certificate, absl::string_view fingerprint) {
  return !fingerprint.empty() && certificate.status().sha256_fingerprint() == fingerprint;
}

absl::StatusOr<std::vector<pki::Certificate>> GivenChain(
    const issuer::v1::Certificate& certificate, const issuer::v1::Secret& secret) {
  const auto pem = secret.data().find(kCertificateKey);
  const bool issued = pem != secret.data().end() &&
                      !secret.metadata().annotations().contains(kTemporaryAnnotation);
  absl::StatusOr<std::vector<pki::Certificate>> chain =
      issued ? pki::ParseChainPem(pem->second) : absl::NotFoundError("");
  if (!chain.ok() || chain->empty()) {
    return rpc::FailedPrecondition("NOT_ISSUED", "there is no certificate yet");
  }
  if (WasGiven(certificate, FingerprintOf(chain->front()))) return chain;
  return rpc::FailedPrecondition(
      "NOT_GIVEN", absl::StrCat("the certificate in the Secret ", secret.metadata().name(),
                                " is not the one that this Certificate was given last: "
                                "RenewCertificate gets another"));
}

}  // namespace certwright::issuer_service
