// Names that users and requests give.
#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/base/fuzz.h"
#include "lib/pki/name_constraints.h"
#include "lib/pki/names.h"
#include "lib/pki/subject.h"

namespace certwright::pki {
namespace {

// The normal spelling, which is its own and has no more than `max_bytes` printable characters;
// empty if there is none.
template <typename Normalize>
std::string Normal(absl::string_view text, Normalize normalize, std::size_t max_bytes) {
  const absl::StatusOr<std::string> once = normalize(text);
  if (!once.ok()) {
    // Fit to be shown, whatever the name was.
    CW_FUZZ_CHECK(once.status().message().size() < 1024);
    for (const char c : once.status().message()) CW_FUZZ_CHECK(c >= ' ');
    return "";
  }
  CW_FUZZ_CHECK(!once->empty() && once->size() <= max_bytes);
  for (const char c : *once) CW_FUZZ_CHECK(c > ' ' && c <= '~');
  CW_FUZZ_CHECK(normalize(*once) == once);
  return *once;
}

void CheckDnsName(absl::string_view name) {
  if (name.empty()) return;
  CW_FUZZ_CHECK(!NormalizeIpAddress(name).ok());
  absl::ConsumePrefix(&name, "*.");
  CW_FUZZ_CHECK(*NormalizeDnsName(name) == name);
  for (const absl::string_view label : absl::StrSplit(name, '.')) {
    CW_FUZZ_CHECK(!label.empty() && label.size() <= 63);
    for (const char c : label) {
      CW_FUZZ_CHECK(absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-');
    }
  }
}

void CheckIpAddress(const std::string& address) {
  if (address.empty()) return;
  CW_FUZZ_CHECK(!NormalizeDnsName(address).ok());
  CW_FUZZ_CHECK(IpAddressFromOctets(IpAddressToOctets(address)) == address);
}

// Fit to be shown, whatever the text was.
void CheckMessage(const absl::Status& status) {
  CW_FUZZ_CHECK(status.message().size() < 1024);
  for (const char c : status.message()) CW_FUZZ_CHECK(c >= ' ' && c <= '~');
}

void CheckLiteralSubject(absl::string_view text) {
  const absl::StatusOr<std::string> der = EncodeLiteralSubject(text);
  if (der.ok()) {
    CW_FUZZ_CHECK(DecodeSubject(*der).ok());
  } else {
    CheckMessage(der.status());
  }
}

void CheckNameConstraints(absl::string_view text) {
  for (auto list : {&NameSubtrees::dns_domains, &NameSubtrees::ip_ranges,
                    &NameSubtrees::email_addresses, &NameSubtrees::uri_domains}) {
    NameConstraints constraints;
    constraints.permitted.*list = {std::string(text)};
    const absl::StatusOr<NameConstraints> normal = NormalizeNameConstraints(constraints);
    if (normal.ok()) {
      CW_FUZZ_CHECK(*NormalizeNameConstraints(*normal) == *normal);
    } else {
      CheckMessage(normal.status());
    }
  }
}

void CheckMailto(absl::string_view address) {
  const absl::StatusOr<std::string> url = MailtoUrl(address);
  CW_FUZZ_CHECK(url.ok() || !NormalizeEmail(address).ok());
  if (!url.ok()) return CheckMessage(url.status());
  CW_FUZZ_CHECK(url->size() <= 3 * 254);
  for (const char c : *url) CW_FUZZ_CHECK(c > ' ' && c <= '~' && c != '"' && c != '<');
}

void CheckSets(absl::string_view text) {
  SubjectAltNames names;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (NormalizeIpAddress(line).ok()) {
      names.ip_addresses.emplace_back(line);
    } else if (NormalizeDnsName(line).ok()) {
      names.dns_names.emplace_back(line);
    } else if (NormalizeEmail(line).ok()) {
      names.email_addresses.emplace_back(line);
    } else if (NormalizeUri(line).ok()) {
      names.uris.emplace_back(line);
    }
  }
  const absl::StatusOr<SubjectAltNames> normal = NormalizeNames(names);
  CW_FUZZ_CHECK(normal.ok() && *NormalizeNames(*normal) == *normal);
  CW_FUZZ_CHECK(NameSetDifference(*normal, *normal).empty());
  CW_FUZZ_CHECK(NameSetDifference(*normal, {}).empty() == normal->empty());
  CW_FUZZ_CHECK(std::is_sorted(normal->dns_names.begin(), normal->dns_names.end()));
}

}  // namespace
}  // namespace certwright::pki

CW_FUZZ_TARGET(input) {
  using namespace certwright::pki;
  CheckDnsName(Normal(input, NormalizeDnsName, 253));
  CheckIpAddress(Normal(input, NormalizeIpAddress, 45));
  Normal(input, NormalizeEmail, 254);
  CheckMailto(input);
  Normal(input, NormalizeUri, 2048);
  CheckSets(input);
  CheckLiteralSubject(input);
  CheckNameConstraints(input);
  const std::string address = IpAddressFromOctets(input);
  if (!address.empty()) CW_FUZZ_CHECK(IpAddressToOctets(address) == input);
  SubjectAltNames unexpected;
  unexpected.dns_names = {std::string(input)};
  CW_FUZZ_CHECK(!NameSetDifference(unexpected, {}).empty());
}
