// Which part of a name its owner has registered: the public suffix and one label. Certificate
// authorities count what they issue by it.
//
// The list of public suffixes (publicsuffix.org) is the one inside libpsl, with the suffixes
// that companies give to their customers; nothing is fetched.
// Threading: safe from any thread.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace certwright::pki {

// The registered domain of a DNS name as NormalizeDnsName() spells it: "example.co.uk" for
// "*.www.example.co.uk". A name that is itself a public suffix, such as "github.io", is its
// own.
std::string RegisteredDomain(absl::string_view dns_name);

// The unit in which addresses are counted: an IPv4 address itself, of an IPv6 address the
// network of 64 bits, "2001:db8:1:2::/64". `address` is as NormalizeIpAddress() spells it;
// what is no address is returned as it is.
std::string AddressUnit(absl::string_view address);

}  // namespace certwright::pki
