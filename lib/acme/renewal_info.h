// How a certificate is named in ACME Renewal Information (RFC 9773 §4.1).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lib/pki/certificate.h"

namespace certwright::acme {

// base64url(authority key identifier) "." base64url(serial number).
// FAILED_PRECONDITION for a certificate without an authority key identifier,
// which cannot be named.
absl::StatusOr<std::string> CertId(const pki::Certificate& certificate);

}  // namespace certwright::acme
