// base64url without padding, as JOSE and ACME use it everywhere (RFC 7515 §2).
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace certwright::base {

std::string Base64UrlEncode(absl::string_view bytes);

// nullopt for padding, white space, foreign characters or an impossible length.
std::optional<std::string> Base64UrlDecode(absl::string_view text);

}  // namespace certwright::base
