#include "lib/pki/ip_range.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/pki/names.h"

namespace certwright::pki {
namespace {

std::string Mask(size_t octets, size_t bits) {
  std::string mask(octets, '\0');
  for (size_t i = 0; i < octets; ++i) {
    size_t here = std::min<size_t>(bits, 8);
    mask[i] = static_cast<char>(0xff << (8 - here));
    bits -= here;
  }
  return mask;
}

}  // namespace

std::string IpRangeToOctets(absl::string_view range) {
  std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(range, absl::MaxSplits('/', 1));
  std::string address = IpAddressToOctets(parts.first);
  size_t bits = 0;
  // SimpleAtoi() would take blanks and signs as well.
  if (address.empty() || parts.second.empty() || parts.second.size() > 3 ||
      !std::all_of(parts.second.begin(), parts.second.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(parts.second, &bits) || bits > 8 * address.size()) {
    return "";
  }
  return absl::StrCat(address, Mask(address.size(), bits));
}

std::string IpRangeFromOctets(absl::string_view octets) {
  if (octets.size() != 8 && octets.size() != 32) return "";
  size_t half = octets.size() / 2;
  absl::string_view mask = octets.substr(half);
  for (size_t bits = 0; bits <= 8 * half; ++bits) {
    if (mask != Mask(half, bits)) continue;
    std::string address(octets.substr(0, half));
    for (size_t i = 0; i < half; ++i) address[i] = static_cast<char>(address[i] & mask[i]);
    return absl::StrCat(IpAddressFromOctets(address), "/", bits);
  }
  return "";
}

}  // namespace certwright::pki
