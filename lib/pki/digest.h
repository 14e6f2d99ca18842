// Message digests.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace certwright::pki {

// The 32 octets of SHA-256 over `bytes`.
std::string Sha256(absl::string_view bytes);

}  // namespace certwright::pki
