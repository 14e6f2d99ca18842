// Addresses that a fetch on behalf of a stranger leads to: in whichever form an address comes,
// it is of the same class.
#include <arpa/inet.h>

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/base/fuzz.h"
#include "lib/http/address_policy.h"

namespace certwright::http {
namespace {

std::string Text(int family, absl::string_view bytes) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  CW_FUZZ_CHECK(inet_ntop(family, bytes.data(), text.data(), text.size()) != nullptr);
  return text.data();
}

void CheckText(absl::string_view text) {
  const AddressClass given = Classify(text);
  if (text.find_first_of(absl::string_view("%\0", 2)) != absl::string_view::npos) return;
  const std::string terminated(text);
  for (const int family : {AF_INET, AF_INET6}) {
    std::array<char, 16> bytes = {};
    if (inet_pton(family, terminated.c_str(), bytes.data()) != 1) continue;
    const std::string canonical = Text(family, {bytes.data(), bytes.size()});
    CW_FUZZ_CHECK(given != AddressClass::kInvalid && Classify(canonical) == given);
    return;
  }
  CW_FUZZ_CHECK(given == AddressClass::kInvalid);
}

// Every IPv6 address that carries the four octets is judged by them.
void CheckCarried(absl::string_view octets) {
  const std::string v4 = Text(AF_INET, octets);
  const AddressClass v4_class = Classify(v4);
  CW_FUZZ_CHECK(v4_class != AddressClass::kInvalid);
  CW_FUZZ_CHECK(Classify(absl::StrCat("::ffff:", v4)) == v4_class);
  CW_FUZZ_CHECK(Classify(absl::StrCat("64:ff9b::", v4)) == v4_class);
  const std::string six_to_four =
      absl::StrCat(absl::string_view("\x20\x02", 2), octets, std::string(10, '\0'));
  CW_FUZZ_CHECK(Classify(Text(AF_INET6, six_to_four)) == v4_class);
}

}  // namespace
}  // namespace certwright::http

CW_FUZZ_TARGET(input) {
  certwright::http::CheckText(input);
  if (input.size() >= 4) certwright::http::CheckCarried(input.substr(0, 4));
}
