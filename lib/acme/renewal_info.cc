#include "lib/acme/renewal_info.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/base/base64.h"

namespace certwright::acme {

absl::StatusOr<std::string> CertId(const pki::Certificate& certificate) {
  if (certificate.authority_key_id.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("certificate ", certificate.serial_hex,
                     " has no authority key identifier, so the CA cannot be asked about it"));
  }
  return absl::StrCat(base::Base64UrlEncode(certificate.authority_key_id), ".",
                      base::Base64UrlEncode(certificate.serial_der));
}

}  // namespace certwright::acme
