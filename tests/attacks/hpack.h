// HPACK (RFC 7541) as an attacker writes it: the pieces of a header block one by one, right or
// wrong, never Huffman-coded unless the bytes are made by hand. And a decoder for what servers
// answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

struct nghttp2_hd_inflater;

namespace certwright::attacks {

struct Header {
  std::string name;
  std::string value;
};
using Headers = std::vector<Header>;

// Section 5.1: in the low `prefix_bits` of the first byte, which has `flags` above them.
// `padding` bytes of 0x80 lengthen it without changing its value.
std::string HpackInteger(uint64_t value, int prefix_bits, uint8_t flags,
                         std::size_t padding = 0);
// Section 5.2. `claimed` is the length that stands before the bytes, if it is not theirs.
std::string HpackString(absl::string_view bytes, std::optional<uint64_t> claimed = {});
// Section 6.1.
std::string IndexedField(uint64_t index);
// Section 6.2.2: a literal without indexing, with a new name.
std::string Literal(absl::string_view name, absl::string_view value);
// Section 6.2.1: the same, which also goes into the dynamic table.
std::string LiteralIndexed(absl::string_view name, absl::string_view value);
// Section 6.3.
std::string TableSizeUpdate(uint64_t size);
// Every header as a Literal().
std::string HeaderBlock(const Headers& headers);

class HpackDecoder {
 public:
  HpackDecoder();

  // In the order of the connection; nullopt if `block` is none, and then for good.
  std::optional<Headers> Decode(absl::string_view block);

 private:
  std::unique_ptr<nghttp2_hd_inflater, void (*)(nghttp2_hd_inflater*)> inflater_;
};

}  // namespace certwright::attacks
