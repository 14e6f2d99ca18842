// Identifiers of an ACME order: DNS names and IP addresses (RFC 8555 §7.1.3,
// RFC 8738).
#pragma once

#include <compare>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace certwright::acme {

struct Identifier {
  std::string type;  // "dns" or "ip"
  std::string value;

  friend auto operator<=>(const Identifier&, const Identifier&) = default;
};

inline Identifier DnsIdentifier(std::string name) { return {"dns", std::move(name)}; }
inline Identifier IpIdentifier(std::string address) { return {"ip", std::move(address)}; }

// Sorted, without duplicates; DNS names in lower case without a trailing dot,
// IP addresses in canonical text. Names must already be A-labels: nothing here
// knows IDNA.
std::vector<Identifier> NormalizeIdentifiers(std::vector<Identifier> identifiers);

// Whether both hold the same identifiers, whatever their order, case and
// spelling.
bool SameIdentifiers(const std::vector<Identifier>& a, const std::vector<Identifier>& b);

// "a.example, b.example and 3 more" for messages; at most `shown` of them.
std::string DescribeIdentifiers(const std::vector<Identifier>& identifiers, int shown = 5);

}  // namespace certwright::acme
