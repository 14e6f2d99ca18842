// Writes and signs certificates without asking whether the signer may: what sign.h decides,
// and what the CA of tests does not care for.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/pki/certificate.h"
#include "lib/pki/certificate_template.h"
#include "lib/pki/key.h"

namespace certwright::pki {

// `serial` is the big-endian magnitude of the serial number. Signed by `issuer_key`; if
// `issuer` is nullptr, the certificate is its own issuer.
//
// INVALID_ARGUMENT for a template that no certificate can be made of.
absl::StatusOr<Certificate> BuildCertificate(const CertificateTemplate& values,
                                             absl::string_view serial,
                                             const Certificate* issuer,
                                             const PrivateKey& issuer_key);

// The DER of such a certificate, which costs more to read than to sign.
absl::StatusOr<std::string> BuildCertificateDer(const CertificateTemplate& values,
                                                absl::string_view serial,
                                                const Certificate* issuer,
                                                const PrivateKey& issuer_key);

// 128 random bits, not all zero.
absl::StatusOr<std::string> RandomSerial();

}  // namespace certwright::pki
