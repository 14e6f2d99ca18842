// What proves control of an identifier (RFC 8555 §8.1, §8.4).
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace certwright::acme {

// RFC 8555 §8.3: at least 128 bits in base64url. At most 512 characters here.
bool IsValidToken(absl::string_view token);

// What an HTTP-01 resource holds. `thumbprint` is pki::JwkThumbprint() of the
// account key.
std::string KeyAuthorization(absl::string_view token, absl::string_view thumbprint);

// The value of a DNS-01 TXT record: 43 characters.
std::string Dns01Digest(absl::string_view key_authorization);

}  // namespace certwright::acme
