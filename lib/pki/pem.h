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

// The blocks of `text` in order. Text between blocks, CRLF, blank lines and a missing last
// newline are tolerated. INVALID_ARGUMENT, never with bytes of the input, for a text over the
// limits, a boundary that is not a line of its own, a block that is not closed or closed with
// another label, headers inside a block (an encrypted key), and what is not padded base64.
//
// A block may hold a key: a caller that expects one wipes `der` when done.
absl::StatusOr<std::vector<PemBlock>> ParsePem(absl::string_view text, PemLimits limits);

std::string EncodePem(absl::string_view label, absl::string_view der);

}  // namespace certwright::pki
