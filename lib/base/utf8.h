// UTF-8 (RFC 3629), where bytes come that may be something else.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace certwright::base {

// The length of the well-formed sequence that `text`, which is not empty, starts with; 0 for
// none.
std::size_t Utf8Length(absl::string_view text);

// Whether all of `text` is well-formed.
bool IsUtf8(absl::string_view text);

// Whether `text`, which is well-formed, has a control character (Unicode's category Cc).
bool HasControl(absl::string_view text);

}  // namespace certwright::base
