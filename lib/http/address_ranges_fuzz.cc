// Ranges of addresses in configuration files, and addresses that redirects lead to:
// "range\naddress".
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/fuzz.h"
#include "lib/http/address_policy.h"
#include "lib/http/address_ranges.h"
#include "lib/pki/names.h"

namespace certwright::http {
namespace {

// What both sides of the self-check make of an address is the same.
void CheckAddress(const std::string& text) {
  const absl::StatusOr<std::string> address = pki::NormalizeIpAddress(text);
  if (!address.ok()) return;
  CW_FUZZ_CHECK(http::Classify(text) != http::AddressClass::kInvalid);
  CW_FUZZ_CHECK(http::Classify(text) == http::Classify(*address));
  for (const char* everything : {"0.0.0.0/0", "::/0"}) {
    const bool same_family = absl::StrContains(*address, ':') == (everything[0] == ':');
    CW_FUZZ_CHECK(AddressRanges::Parse({everything})->Contains(text) == same_family);
  }
}

void CheckRange(const std::string& range, const std::string& address) {
  const absl::StatusOr<AddressRanges> ranges = AddressRanges::Parse({range});
  if (!ranges.ok()) return;
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(range, absl::MaxSplits('/', 1));
  const std::string& network = parts.first;
  // An IPv4-mapped range holds nothing, since addresses of that form are judged as IPv4.
  if (*pki::NormalizeIpAddress(network) ==
      pki::IpAddressFromOctets(pki::IpAddressToOctets(network))) {
    CW_FUZZ_CHECK(ranges->Contains(network));
  }
  if (!ranges->Contains(address)) return;
  CW_FUZZ_CHECK(pki::NormalizeIpAddress(address).ok());
  // A wider range holds it too.
  int prefix = 0;
  if (!absl::SimpleAtoi(parts.second, &prefix) || prefix == 0) return;
  const absl::StatusOr<AddressRanges> wider =
      AddressRanges::Parse({absl::StrCat(network, "/", prefix - 1)});
  CW_FUZZ_CHECK(wider.ok() && wider->Contains(address));
}

}  // namespace
}  // namespace certwright::http

CW_FUZZ_TARGET(input) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(input, absl::MaxSplits('\n', 1));
  certwright::http::CheckRange(parts.first, parts.second);
  certwright::http::CheckAddress(parts.second);
}
