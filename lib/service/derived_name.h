// Names of resources that one service makes on behalf of another resource: derived from the
// owner, so that a retry finds what an earlier try has made.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace certwright::service {

// "<owner>-<10 hex digits of SHA-256 of the parts>", a DNS label: the owner's name is cut
// where it is too long. Other parts give another name.
std::string DerivedName(absl::string_view owner, const std::vector<std::string>& parts);

// "<owner>-<suffix>", or DerivedName(owner, {owner, suffix}) where that is over 63 characters.
std::string SuffixedName(absl::string_view owner, absl::string_view suffix);

}  // namespace certwright::service
