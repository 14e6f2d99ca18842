// IP address ranges as a certificate holds them: the address, then its mask (RFC 5280
// §4.2.1.10).
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace certwright::pki {

// The 8 or 32 octets for "192.0.2.0/24" or "2001:db8::/32"; empty for a text that is no range.
// Bits of the address behind the prefix are kept.
std::string IpRangeToOctets(absl::string_view range);

// The range, without what its address has set behind the prefix; empty for another length than
// 8 and 32 octets, and for a mask that is no prefix.
std::string IpRangeFromOctets(absl::string_view octets);

}  // namespace certwright::pki
