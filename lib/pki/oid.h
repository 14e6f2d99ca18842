// Object identifiers as text (X.660): "2.5.4.3".
#pragma once

#include "absl/strings/string_view.h"

namespace certwright::pki {

// Whether `text` is an object identifier in dotted decimal: at most 100 characters, two arcs
// at least, no leading zeros, the first arc 0 to 2, and the second below 40 under 0 and 1.
bool IsDottedOid(absl::string_view text);

}  // namespace certwright::pki
