#include "lib/http/address_ranges.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/http/address_policy.h"
#include "lib/pki/names.h"

namespace certwright::http {
namespace {

bool SharePrefix(const std::string& a, const std::string& b, int bits) {
  const std::size_t whole = static_cast<std::size_t>(bits / 8);
  if (a.compare(0, whole, b, 0, whole) != 0) return false;
  const int rest = bits % 8;
  if (rest == 0) return true;
  const int shift = 8 - rest;
  return static_cast<unsigned char>(a[whole]) >> shift ==
         static_cast<unsigned char>(b[whole]) >> shift;
}

}  // namespace

absl::StatusOr<AddressRanges> AddressRanges::Parse(const std::vector<std::string>& ranges) {
  AddressRanges parsed;
  for (const std::string& text : ranges) {
    const std::size_t slash = text.find('/');
    Range range;
    range.octets = pki::IpAddressToOctets(text.substr(0, slash));
    const int bits = static_cast<int>(range.octets.size()) * 8;
    range.prefix = bits;
    const bool number = slash == std::string::npos ||
                        (text.find_first_not_of("0123456789", slash + 1) == std::string::npos &&
                         absl::SimpleAtoi(text.substr(slash + 1), &range.prefix));
    if (range.octets.empty() || !number || range.prefix < 0 || range.prefix > bits) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", absl::CHexEscape(text.substr(0, 100)),
                       "\" is not a range of addresses: write it like 10.0.0.0/8 or fd00::/8"));
    }
    parsed.ranges_.push_back(std::move(range));
  }
  return parsed;
}

bool AddressRanges::Contains(absl::string_view address) const {
  const absl::StatusOr<std::string> normal = pki::NormalizeIpAddress(address);
  if (!normal.ok()) return false;
  const std::string octets = pki::IpAddressToOctets(*normal);
  for (const Range& range : ranges_) {
    if (range.octets.size() == octets.size() &&
        SharePrefix(range.octets, octets, range.prefix)) {
      return true;
    }
  }
  return false;
}

bool AddressRanges::PublicOrContains(absl::string_view address) const {
  return Classify(address) == AddressClass::kPublic || Contains(address);
}

}  // namespace certwright::http
