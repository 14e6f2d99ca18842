// Link headers (RFC 8288), as far as ACME uses them.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace certwright::acme {

// The targets of all links with this relation type, in order. Takes several
// headers, comma lists, quoted parameters and lists of relations; a malformed
// rest of a header is dropped. At most 32 targets of at most 2 KiB; duplicates
// are left out.
std::vector<std::string> LinksByRel(const std::vector<std::string>& header_values,
                                    absl::string_view rel);

}  // namespace certwright::acme
