#include "services/issuer/approval_patterns.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"
#include "lib/pki/names.h"
#include "lib/pki/subject_type.h"
#include "lib/service/issuer_ref.h"

namespace certwright::issuer_service {
namespace {

constexpr std::size_t kMaxPattern = 2048;
constexpr absl::string_view kClusterPrefix = "ClusterIssuer/";

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isascii(static_cast<unsigned char>(c)); });
}

absl::Status CheckLength(absl::string_view text) {
  if (!text.empty() && text.size() <= kMaxPattern) return absl::OkStatus();
  return absl::InvalidArgumentError("must have 1 to 2048 characters");
}

std::string Mask(std::size_t octets, std::size_t bits) {
  std::string mask(octets, '\0');
  for (std::size_t i = 0; i < bits; ++i) {
    mask[i / 8] = static_cast<char>(mask[i / 8] | (0x80 >> (i % 8)));
  }
  return mask;
}

std::string And(absl::string_view a, absl::string_view b) {
  std::string result(a);
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = static_cast<char>(result[i] & b[i]);
  }
  return result;
}

// Of the one spelling of an address, in which IPv4-mapped ones are IPv4; empty if it is none.
std::string NormalOctets(absl::string_view address) {
  const absl::StatusOr<std::string> normal = pki::NormalizeIpAddress(address);
  return normal.ok() ? pki::IpAddressToOctets(*normal) : "";
}

}  // namespace

bool MatchesPattern(absl::string_view pattern, absl::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  // Where the last "*" is, and how much of the text it has taken so far.
  std::size_t star = absl::string_view::npos;
  std::size_t taken = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != absl::string_view::npos) {
      p = star + 1;
      t = ++taken;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

absl::StatusOr<std::string> ParsePattern(absl::string_view text) {
  CW_RETURN_IF_ERROR(CheckLength(text));
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isprint(static_cast<unsigned char>(c));
  });
  if (!printable) return absl::InvalidArgumentError("must be printable ASCII");
  return std::string(text);
}

absl::StatusOr<std::string> ParseDnsPattern(absl::string_view text) {
  CW_RETURN_IF_ERROR(CheckLength(text));
  absl::string_view name = text;
  absl::ConsumePrefix(&name, "*.");
  // A "*" within a label would be lost in its A-label.
  if (!absl::StrContains(name, '*')) {
    const absl::StatusOr<std::string> normal = pki::NormalizeDnsName(name);
    if (normal.ok()) {
      return absl::StrCat(text.substr(0, text.size() - name.size()), *normal);
    }
  }
  if (!IsAscii(text)) {
    return absl::InvalidArgumentError(
        "must be a DNS name if it is not ASCII, with no \"*\" but \"*.\" at its begin");
  }
  CW_ASSIGN_OR_RETURN(const std::string pattern, ParsePattern(text));
  return absl::AsciiStrToLower(pattern);
}

absl::StatusOr<std::string> ParseEmailPattern(absl::string_view text) {
  CW_ASSIGN_OR_RETURN(std::string pattern, ParsePattern(text));
  const std::size_t at = pattern.rfind('@');
  if (at == std::string::npos) return pattern;
  return absl::StrCat(pattern.substr(0, at), absl::AsciiStrToLower(pattern.substr(at)));
}

absl::StatusOr<IssuerPattern> IssuerPattern::Parse(absl::string_view text) {
  IssuerPattern pattern;
  pattern.cluster_ = absl::ConsumePrefix(&text, kClusterPrefix);
  CW_ASSIGN_OR_RETURN(pattern.name_, ParsePattern(text));
  if (absl::StrContains(text, '/')) {
    return absl::InvalidArgumentError("must be \"<name>\" or \"ClusterIssuer/<name>\"");
  }
  return pattern;
}

bool IssuerPattern::Matches(const meta::v1::IssuerRef& ref) const {
  return service::IsCluster(ref) == cluster_ && MatchesPattern(name_, ref.name());
}

absl::StatusOr<SubjectPattern> SubjectPattern::Parse(absl::string_view text) {
  const std::size_t equals = text.find('=');
  SubjectPattern pattern;
  if (equals != absl::string_view::npos) {
    pattern.oid_ = pki::SubjectTypeOid(text.substr(0, equals));
  }
  if (pattern.oid_.empty()) {
    return absl::InvalidArgumentError(
        "must be \"<type>=<pattern>\", the type being CN, C, O, OU, L, ST, STREET, postalCode, "
        "serialNumber, DC, UID or a dotted object identifier");
  }
  if (pattern.oid_ == kEmailAddressOid) {
    return absl::InvalidArgumentError("must be no e-mail address: these are in emailAddresses");
  }
  CW_ASSIGN_OR_RETURN(pattern.value_, ParsePattern(text.substr(equals + 1)));
  return pattern;
}

bool SubjectPattern::Matches(const pki::SubjectAttribute& attribute) const {
  return attribute.oid == oid_ && MatchesPattern(value_, attribute.value);
}

absl::StatusOr<AddressRange> AddressRange::Parse(absl::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string address = NormalOctets(text.substr(0, slash));
  const std::size_t all_bits = 8 * address.size();
  std::size_t bits = all_bits;
  // The bits of an IPv4-mapped network would count from another end.
  bool valid = !address.empty() &&
               address.size() == pki::IpAddressToOctets(text.substr(0, slash)).size();
  if (valid && slash != absl::string_view::npos) {
    // SimpleAtoi() would take blanks and signs as well.
    const absl::string_view digits = text.substr(slash + 1);
    valid = !digits.empty() && digits.size() <= 3 &&
            std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) &&
            absl::SimpleAtoi(digits, &bits) && bits <= all_bits;
  }
  if (!valid) {
    return absl::InvalidArgumentError(
        "must be a range of addresses, for example \"192.0.2.0/24\" or \"2001:db8::/32\"");
  }
  AddressRange range;
  range.mask_ = Mask(address.size(), bits);
  range.network_ = And(address, range.mask_);
  return range;
}

bool AddressRange::Contains(absl::string_view address) const {
  const std::string octets = NormalOctets(address);
  return octets.size() == mask_.size() && And(octets, mask_) == network_;
}

}  // namespace certwright::issuer_service
