// The syntax of RFC 4514, which subject.h encodes.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::pki {

struct LiteralPart {
  std::string type;  // as written
  std::string oid;
  std::string value;  // without escapes; UTF-8
  // Behind a "+": belongs to the same relative name as the part before.
  bool joins_previous = false;
};

// The parts in the order of the text; at least one. INVALID_ARGUMENT gives the number of the
// part (from 1), its type and the rule.
absl::StatusOr<std::vector<LiteralPart>> SplitLiteralSubject(absl::string_view text);

}  // namespace certwright::pki
