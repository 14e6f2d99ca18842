#include "lib/acme/identifier.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace certwright::acme {
namespace {

std::string CanonicalAddress(const std::string& text) {
  std::array<unsigned char, 16> bytes;
  std::array<char, INET6_ADDRSTRLEN> out;
  // inet_pton() would read "192.0.2.1" and overlook what follows.
  if (absl::StrContains(text, '\0')) return text;
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, text.c_str(), bytes.data()) == 1 &&
        inet_ntop(family, bytes.data(), out.data(), out.size()) != nullptr) {
      return out.data();
    }
  }
  return absl::AsciiStrToLower(text);
}

}  // namespace

std::vector<Identifier> NormalizeIdentifiers(std::vector<Identifier> identifiers) {
  for (Identifier& identifier : identifiers) {
    if (identifier.type == "ip") {
      identifier.value = CanonicalAddress(identifier.value);
    } else {
      absl::AsciiStrToLower(&identifier.value);
      // More than one dot is not another spelling of the name.
      if (!absl::EndsWith(identifier.value, "..")) {
        identifier.value = std::string(absl::StripSuffix(identifier.value, "."));
      }
    }
  }
  std::sort(identifiers.begin(), identifiers.end());
  identifiers.erase(std::unique(identifiers.begin(), identifiers.end()), identifiers.end());
  return identifiers;
}

bool SameIdentifiers(const std::vector<Identifier>& a, const std::vector<Identifier>& b) {
  return NormalizeIdentifiers(a) == NormalizeIdentifiers(b);
}

std::string DescribeIdentifiers(const std::vector<Identifier>& identifiers, int shown) {
  const int count = static_cast<int>(identifiers.size());
  const int listed = std::min(count, shown);
  std::string text;
  for (int i = 0; i < listed; ++i) {
    const bool last = i == count - 1;
    absl::StrAppend(&text, i == 0 ? "" : last ? " and " : ", ", identifiers[i].value);
  }
  if (count > listed) absl::StrAppend(&text, " and ", count - listed, " more");
  return text;
}

}  // namespace certwright::acme
