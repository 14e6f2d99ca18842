// Domain names as this library writes them: lower case, no trailing dot, the root is "".
//
// A byte of a wire name that would be ambiguous in text (a dot or backslash inside a
// label, a space, anything not printable) is written \DDD, so dots always separate labels.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::dns {

// A name given by a person or a program, in normal form. INVALID_ARGUMENT unless it is one
// of labels of 1 to 63 octets, in all at most 253, of letters, digits, '-', '_', and '*' as
// a label of its own. A single trailing dot is accepted; "." and "" are the root.
absl::StatusOr<std::string> Normalize(absl::string_view name);

// True if `name` is `zone` or lies below it. Both in normal form.
bool IsSubdomain(absl::string_view name, absl::string_view zone);

// `name` without its first label; the root's parent is the root.
absl::string_view Parent(absl::string_view name);

// `name`, which Normalize() returned, as length-prefixed labels (RFC 1035 §3.1).
std::string WireName(absl::string_view name);

// How a message shows a name: "the root" for "".
absl::string_view DisplayName(absl::string_view name);

}  // namespace certwright::dns
