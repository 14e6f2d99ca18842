// Types of the attributes that subjects are made of: their words (RFC 4514 §3) and identifiers.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace certwright::pki {

// The identifier that a word in any case, or a dotted identifier, stands for; empty for another
// text. Words are CN, C, O, OU, L, ST, STREET, postalCode, serialNumber, DC and UID.
std::string SubjectTypeOid(absl::string_view type);

// The word for an identifier; the identifier itself where there is none.
std::string SubjectTypeName(absl::string_view oid);

}  // namespace certwright::pki
