// What the names of certificates below a CA must be (RFC 5280 §4.2.1.10).
//
// Errors: INVALID_ARGUMENT with the entry and the rule that it breaks.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace certwright::pki {

struct NameSubtrees {
  // "example.com": the name and all below it; ".example.com": only those below it.
  std::vector<std::string> dns_domains;
  // CIDR: "192.0.2.0/24", "2001:db8::/32".
  std::vector<std::string> ip_ranges;
  // "jo@example.com", "example.com" (the addresses at that host) or ".example.com" (those at
  // hosts below it).
  std::vector<std::string> email_addresses;
  // Hosts: "example.com" is only that host, ".example.com" those below it.
  std::vector<std::string> uri_domains;

  friend bool operator==(const NameSubtrees&, const NameSubtrees&) = default;
  bool empty() const {
    return dns_domains.empty() && ip_ranges.empty() && email_addresses.empty() &&
           uri_domains.empty();
  }
};

struct NameConstraints {
  NameSubtrees permitted;
  NameSubtrees excluded;
  // RFC 5280 wants it so. Only of meaning if there are constraints.
  bool critical = true;
  // Constraints that the members above cannot hold ("permitted directoryName"); only read,
  // never written.
  std::vector<std::string> other_kinds = {};

  friend bool operator==(const NameConstraints&, const NameConstraints&) = default;
  bool empty() const { return permitted.empty() && excluded.empty() && other_kinds.empty(); }
};

// Every entry in its one spelling, each kind sorted and without duplicates; the first error.
// INVALID_ARGUMENT too for `other_kinds` and for more than 1000 entries.
absl::StatusOr<NameConstraints> NormalizeNameConstraints(const NameConstraints& constraints);

}  // namespace certwright::pki
