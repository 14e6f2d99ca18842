// PEM text (RFC 7468), read strictly inside blocks and leniently around them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::pki {

struct PemBlock {
  std::string label;
  std::string der;
};

struct PemLimits {
  size_t max_bytes;
  size_t max_blocks;
};

// The blocks of `text` in order. Text between blocks, a byte order mark, any line ends and none
// at all, also between END and the next BEGIN, are tolerated. INVALID_ARGUMENT, never with
// bytes of the input, for a text over the limits, a boundary that does not begin a line or
// follow another, a block that is not closed or closed with another label, headers inside a
// block (an encrypted key), and what is not padded base64.
//
// A block may hold a key: a caller that expects one wipes `der` when done.
absl::StatusOr<std::vector<PemBlock>> ParsePem(absl::string_view text, PemLimits limits);

std::string EncodePem(absl::string_view label, absl::string_view der);

}  // namespace certwright::pki
