// The certificate that a Certificate was given: its status has noted it since it came, in the
// commit that brought it into the Secret. What else may be in the Secret that the spec names,
// another's certificate say, is not revoked, replaced, asked about or shown on its behalf.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/pki/certificate.h"

namespace certwright::issuer_service {

// SHA-256 of the certificate's DER, in lower-case hexadecimal.
std::string FingerprintOf(const pki::Certificate& certificate);

// Whether the status notes the certificate of this fingerprint.
bool WasGiven(const issuer::v1::Certificate& certificate, absl::string_view fingerprint);

// The chain in the Secret's tls.crt, which begins with the certificate that was noted.
// FAILED_PRECONDITION: NOT_ISSUED if there is none, NOT_GIVEN if it is another one.
absl::StatusOr<std::vector<pki::Certificate>> GivenChain(
    const issuer::v1::Certificate& certificate, const issuer::v1::Secret& secret);

}  // namespace certwright::issuer_service
