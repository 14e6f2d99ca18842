#include "tests/attacks/hpack.h"

#include <nghttp2/nghttp2.h>

#include <new>

#include "absl/strings/str_cat.h"

namespace certwright::attacks {

std::string HpackInteger(uint64_t value, int prefix_bits, uint8_t flags, std::size_t padding) {
  const uint64_t limit = (uint64_t{1} << prefix_bits) - 1;
  std::string bytes;
  if (value < limit) {
    bytes += static_cast<char>(flags | value);
    return bytes;
  }
  bytes += static_cast<char>(flags | limit);
  bytes.append(padding, '\x80');
  value -= limit;
  while (value >= 0x80) {
    bytes += static_cast<char>(0x80 | (value & 0x7f));
    value >>= 7;
  }
  bytes += static_cast<char>(value);
  return bytes;
}

std::string HpackString(absl::string_view bytes, std::optional<uint64_t> claimed) {
  return absl::StrCat(HpackInteger(claimed.value_or(bytes.size()), 7, 0), bytes);
}

std::string IndexedField(uint64_t index) { return HpackInteger(index, 7, 0x80); }

std::string Literal(absl::string_view name, absl::string_view value) {
  return absl::StrCat(HpackInteger(0, 4, 0), HpackString(name), HpackString(value));
}

std::string LiteralIndexed(absl::string_view name, absl::string_view value) {
  return absl::StrCat(HpackInteger(0, 6, 0x40), HpackString(name), HpackString(value));
}

std::string TableSizeUpdate(uint64_t size) { return HpackInteger(size, 5, 0x20); }

std::string HeaderBlock(const Headers& headers) {
  std::string block;
  for (const Header& header : headers) block += Literal(header.name, header.value);
  return block;
}

HpackDecoder::HpackDecoder() : inflater_(nullptr, nghttp2_hd_inflate_del) {
  nghttp2_hd_inflater* inflater = nullptr;
  if (nghttp2_hd_inflate_new(&inflater) != 0) throw std::bad_alloc();
  inflater_.reset(inflater);
}

std::optional<Headers> HpackDecoder::Decode(absl::string_view block) {
  Headers headers;
  int flags = 0;
  while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
    nghttp2_nv field{};
    flags = 0;
    const ssize_t taken = nghttp2_hd_inflate_hd2(inflater_.get(), &field, &flags,
                                                 reinterpret_cast<const uint8_t*>(block.data()),
                                                 block.size(), /*in_final=*/1);
    if (taken < 0) return std::nullopt;
    block.remove_prefix(static_cast<std::size_t>(taken));
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      headers.push_back({{reinterpret_cast<const char*>(field.name), field.namelen},
                         {reinterpret_cast<const char*>(field.value), field.valuelen}});
    } else if (taken == 0 && block.empty()) {
      break;
    }
  }
  nghttp2_hd_inflate_end_headers(inflater_.get());
  return headers;
}

}  // namespace certwright::attacks
