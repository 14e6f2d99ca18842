#include "lib/pki/names.h"

#include <arpa/inet.h>
#include <idn2.h>

#include <algorithm>
#include <iterator>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"
#include "lib/pki/oid.h"

namespace certwright::pki {
namespace {

constexpr size_t kMaxDnsNameLength = 253;
constexpr size_t kMaxDnsLabelLength = 63;
constexpr size_t kMaxDnsLabels = 64;
// 253 characters of at most four UTF-8 octets, and a trailing dot.
constexpr size_t kMaxDnsInputLength = 4 * kMaxDnsNameLength + 1;
constexpr size_t kMaxEmailLocalLength = 64;
constexpr size_t kMaxEmailLength = 254;
constexpr size_t kMaxUriLength = 2048;
constexpr size_t kMaxOtherNameLength = 2048;
constexpr size_t kMaxListedNames = 10;

std::string Printable(absl::string_view text) {
  constexpr size_t kMaxShown = 100;
  std::string shown = absl::CHexEscape(text.substr(0, kMaxShown));
  return text.size() > kMaxShown ? absl::StrCat(shown, "...") : shown;
}

absl::Status NameError(absl::string_view kind, absl::string_view name, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat(kind, " \"", Printable(name), "\" ", rule));
}

bool IsPlainAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), absl::ascii_isgraph);
}

bool IsAddress(int family, absl::string_view text) {
  unsigned char octets[sizeof(in6_addr)];
  return text.size() < INET6_ADDRSTRLEN && !absl::StrContains(text, '\0') &&
         inet_pton(family, std::string(text).c_str(), octets) == 1;
}

// Whether an ASCII character of `text` belongs into no host name. libidn2's own rule for that
// lets some pass inside of U-labels, and drops others without a word.
bool HasForeignAscii(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) {
    return c < 0x80 && !absl::ascii_isalnum(c) && c != '-' && c != '.';
  });
}

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c <= ' ' || c == 0x7f; });
}

// `part` of a name, which has characters beyond ASCII, with U-labels turned into A-labels
// (RFC 5891 §5). It is more than one label where one of the other full stops is in it.
absl::StatusOr<std::string> ToALabels(const std::string& part) {
  char* raw = nullptr;
  int result = idn2_to_ascii_8z(part.c_str(), &raw, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  std::unique_ptr<char, void (*)(void*)> ascii(raw, idn2_free);
  if (result != IDN2_OK) {
    return absl::InvalidArgumentError(
        absl::StrCat("is no internationalized domain name: ", idn2_strerror(result)));
  }
  // Some of the characters that are mapped to others lead to such ones, too.
  char* raw_unicode = nullptr;
  result = idn2_to_unicode_8z8z(ascii.get(), &raw_unicode, 0);
  std::unique_ptr<char, void (*)(void*)> unicode(raw_unicode, idn2_free);
  if (HasForeignAscii(part) || result != IDN2_OK || HasForeignAscii(unicode.get())) {
    return absl::InvalidArgumentError(
        "has a character other than letters, digits and hyphens in an internationalized name");
  }
  return absl::AsciiStrToLower(ascii.get());
}

// U+0080 to U+009F. `text` is UTF-8.
bool HasC1Control(absl::string_view text) {
  for (size_t at = text.find('\xc2'); at != absl::string_view::npos;
       at = text.find('\xc2', at + 1)) {
    if (static_cast<unsigned char>(text[at + 1]) < 0xa0) return true;
  }
  return false;
}

// Whether `label` is an A-label that decodes (RFC 3492) to something that can be shown. Whether
// IDNA 2008 has such a name is for the CA to judge: some that it has not exist, of emoji for
// example.
bool DecodesToText(const std::string& label) {
  char* raw = nullptr;
  const int result = idn2_to_unicode_8z8z(label.c_str(), &raw, 0);
  const std::unique_ptr<char, void (*)(void*)> unicode(raw, idn2_free);
  return result == IDN2_OK && !HasC1Control(unicode.get());
}

// `name` in lower case, its U-labels turned into A-labels and those that it has checked.
absl::StatusOr<std::string> ToAsciiLabels(absl::string_view name) {
  const std::string lower = absl::AsciiStrToLower(name);
  const bool is_ascii = IsPlainAscii(lower);
  if (is_ascii && !absl::StrContains(lower, "xn--")) return lower;
  if (HasControl(name)) return absl::InvalidArgumentError("has a blank or a control");
  std::vector<std::string> labels = absl::StrSplit(lower, '.');
  for (std::string& label : labels) {
    if (!IsPlainAscii(label)) {
      CW_ASSIGN_OR_RETURN(label, ToALabels(label));
    } else if (absl::StartsWith(label, "xn--") && !HasForeignAscii(label) &&
               label.size() <= kMaxDnsLabelLength && !DecodesToText(label)) {
      return absl::InvalidArgumentError(
          "has a label that begins with \"xn--\" but encodes no internationalized one "
          "(RFC 3492)");
    }
  }
  return absl::StrJoin(labels, ".");
}

// The rule that `label` breaks; empty if none.
absl::string_view BrokenLabelRule(absl::string_view label) {
  if (label.empty()) return "has an empty label";
  if (label.size() > kMaxDnsLabelLength) return "has a label of more than 63 octets";
  if (label.front() == '-' || label.back() == '-') {
    return "has a label that starts or ends with a hyphen";
  }
  for (unsigned char c : label) {
    if (c == '*') return "has a \"*\" other than as its whole first label";
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '-') {
      return "has a character other than letters, digits and hyphens";
    }
  }
  return "";
}

// Decimal or "0x…": what those who read URLs take for a part of an IPv4 address.
bool IsNumber(absl::string_view label) {
  if (absl::ConsumePrefix(&label, "0x")) {
    return std::all_of(label.begin(), label.end(), absl::ascii_isxdigit);
  }
  return std::all_of(label.begin(), label.end(), absl::ascii_isdigit);
}

// The rule that the name without its wildcard label breaks; empty if none.
absl::string_view BrokenDnsRule(absl::string_view base) {
  if (base.empty()) return "is empty";
  std::vector<absl::string_view> labels = absl::StrSplit(base, '.');
  if (labels.size() > kMaxDnsLabels) return "has more than 64 labels";
  for (absl::string_view label : labels) {
    absl::string_view rule = BrokenLabelRule(label);
    if (!rule.empty()) return rule;
  }
  if (IsNumber(labels.back())) return "ends with a number, which no top-level domain is";
  return "";
}

// `beyond_ascii`: UTF-8 as RFC 6531 allows it.
bool IsDotAtom(absl::string_view text, bool beyond_ascii) {
  constexpr absl::string_view kSymbols = "!#$%&'*+-/=?^_`{|}~";
  if (beyond_ascii && (!base::IsUtf8(text) || HasC1Control(text))) return false;
  for (absl::string_view atom : absl::StrSplit(text, '.')) {
    if (atom.empty()) return false;
    for (unsigned char c : atom) {
      if (!absl::ascii_isalnum(c) && !absl::StrContains(kSymbols, static_cast<char>(c)) &&
          !(beyond_ascii && c >= 0x80)) {
        return false;
      }
    }
  }
  return true;
}

absl::StatusOr<std::string> NormalizeAddress(absl::string_view address, bool beyond_ascii) {
  constexpr absl::string_view kKind = "e-mail address";
  size_t at = address.rfind('@');
  if (at == absl::string_view::npos) return NameError(kKind, address, "has no \"@\"");
  absl::string_view local = address.substr(0, at);
  if (local.size() > kMaxEmailLocalLength || !IsDotAtom(local, beyond_ascii)) {
    return NameError(kKind, address,
                     "has a local part that is no dot-atom of at most 64 octets");
  }
  absl::StatusOr<std::string> domain = NormalizeDnsName(address.substr(at + 1));
  if (!domain.ok()) return NameError(kKind, address, "has a domain that is no DNS name");
  if (absl::StartsWith(*domain, "*."))
    return NameError(kKind, address, "has a wildcard domain");
  std::string normal = absl::StrCat(local, "@", *domain);
  if (normal.size() > kMaxEmailLength) return NameError(kKind, address, "is over 254 octets");
  return normal;
}

bool IsUriScheme(absl::string_view scheme) {
  if (scheme.empty() || !absl::ascii_isalpha(static_cast<unsigned char>(scheme[0])))
    return false;
  return std::all_of(scheme.begin(), scheme.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '+' || c == '-' || c == '.';
  });
}

bool HasOnlyUriCharacters(absl::string_view text) {
  constexpr absl::string_view kSymbols = "-._~:/?#[]@!$&'()*+,;=";
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned char c = static_cast<unsigned char>(text[i]);
    if (c == '%') {
      if (i + 2 >= text.size() ||
          !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 1])) ||
          !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 2]))) {
        return false;
      }
    } else if (!absl::ascii_isalnum(c) && !absl::StrContains(kSymbols, text[i])) {
      return false;
    }
  }
  return true;
}

template <typename Name, typename Normalize>
absl::Status NormalizeAll(const std::vector<Name>& names, Normalize normalize,
                          std::vector<Name>& out) {
  for (const Name& name : names) {
    CW_ASSIGN_OR_RETURN(Name normal, normalize(name));
    out.push_back(std::move(normal));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return absl::OkStatus();
}

// All names of all kinds, told apart by a prefix, sorted and without duplicates.
std::vector<std::string> Flatten(const SubjectAltNames& names) {
  std::vector<std::string> all;
  for (const std::string& name : names.dns_names) all.push_back(name);
  for (const std::string& name : names.ip_addresses) all.push_back(absl::StrCat("IP ", name));
  for (const std::string& name : names.uris) all.push_back(absl::StrCat("URI ", name));
  for (const std::string& name : names.email_addresses) {
    all.push_back(absl::StrCat("e-mail ", name));
  }
  for (const OtherName& name : names.other_names) {
    all.push_back(absl::StrCat("otherName ", name.oid, ":", name.utf8_value));
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

// `what` and the names that are in `a` but not in `b`; empty if there are none.
std::string OnlyIn(const std::vector<std::string>& a, const std::vector<std::string>& b,
                   absl::string_view what) {
  std::vector<std::string> difference;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(difference));
  if (difference.empty()) return "";
  size_t listed = std::min(difference.size(), kMaxListedNames);
  std::string text = absl::StrCat(
      what, " ",
      absl::StrJoin(
          difference.begin(), difference.begin() + listed, ", ",
          [](std::string* out, const std::string& name) { *out += Printable(name); }));
  if (difference.size() > listed) {
    absl::StrAppend(&text, " and ", difference.size() - listed, " more");
  }
  return text;
}

}  // namespace

absl::StatusOr<std::string> NormalizeDnsName(absl::string_view name) {
  constexpr absl::string_view kKind = "DNS name";
  if (name.size() > kMaxDnsInputLength) return NameError(kKind, name, "is too long");
  if (IsAddress(AF_INET, name) || absl::StrContains(name, ':')) {
    return NameError(kKind, name, "is an IP address or holds a \":\", not a DNS name");
  }
  absl::string_view base = name;
  absl::string_view wildcard = absl::ConsumePrefix(&base, "*.") ? "*." : "";
  absl::StatusOr<std::string> ascii = ToAsciiLabels(base);
  if (!ascii.ok()) return NameError(kKind, name, ascii.status().message());
  absl::string_view labels = absl::StripSuffix(*ascii, ".");
  absl::string_view rule = BrokenDnsRule(labels);
  if (!rule.empty()) return NameError(kKind, name, rule);
  if (wildcard.size() + labels.size() > kMaxDnsNameLength) {
    return NameError(kKind, name, "has more than 253 octets");
  }
  return absl::StrCat(wildcard, labels);
}

absl::StatusOr<std::string> NormalizeIpAddress(absl::string_view address) {
  constexpr absl::string_view kMappedPrefix("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  std::string octets = IpAddressToOctets(address);
  if (octets.empty()) return NameError("IP address", address, "is neither IPv4 nor IPv6");
  absl::string_view bytes = octets;
  if (bytes.size() == sizeof(in6_addr)) absl::ConsumePrefix(&bytes, kMappedPrefix);
  return IpAddressFromOctets(bytes);
}

absl::StatusOr<std::string> NormalizeEmail(absl::string_view address) {
  return NormalizeAddress(address, /*beyond_ascii=*/false);
}

absl::StatusOr<std::string> MailtoUrl(absl::string_view address) {
  constexpr absl::string_view kUnescaped = "-._~!$'*+@";
  CW_ASSIGN_OR_RETURN(const std::string normal,
                      NormalizeAddress(address, /*beyond_ascii=*/true));
  std::string url = "mailto:";
  for (const char c : normal) {
    const auto octet = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(octet) || absl::StrContains(kUnescaped, c)) {
      url += c;
    } else {
      absl::StrAppendFormat(&url, "%%%02X", octet);
    }
  }
  return url;
}

absl::StatusOr<std::string> NormalizeUri(absl::string_view uri) {
  constexpr absl::string_view kKind = "URI";
  if (uri.size() > kMaxUriLength) return NameError(kKind, uri, "is over 2048 octets");
  size_t colon = uri.find(':');
  if (colon == absl::string_view::npos || !IsUriScheme(uri.substr(0, colon))) {
    return NameError(kKind, uri, "has no scheme; it must be absolute");
  }
  absl::string_view rest = uri.substr(colon + 1);
  if (rest.empty()) return NameError(kKind, uri, "has nothing after its scheme");
  if (!HasOnlyUriCharacters(rest)) {
    return NameError(kKind, uri, "has a character that RFC 3986 wants percent-encoded");
  }
  return absl::StrCat(absl::AsciiStrToLower(uri.substr(0, colon)), ":", rest);
}

absl::StatusOr<OtherName> NormalizeOtherName(const OtherName& name) {
  constexpr absl::string_view kKind = "otherName";
  if (!IsDottedOid(name.oid)) {
    return NameError(kKind, name.oid, "is no object identifier in dotted decimal");
  }
  const std::string& value = name.utf8_value;
  if (value.empty()) return NameError(kKind, name.oid, "has no value");
  if (value.size() > kMaxOtherNameLength) {
    return NameError(kKind, name.oid, "has a value of more than 2048 octets");
  }
  if (!base::IsUtf8(value) || base::HasControl(value)) {
    return NameError(kKind, name.oid,
                     "has a value that is not UTF-8 or holds a control character");
  }
  return name;
}

absl::StatusOr<SubjectAltNames> NormalizeNames(const SubjectAltNames& names) {
  SubjectAltNames normal;
  CW_RETURN_IF_ERROR(NormalizeAll(names.dns_names, NormalizeDnsName, normal.dns_names));
  CW_RETURN_IF_ERROR(NormalizeAll(names.ip_addresses, NormalizeIpAddress, normal.ip_addresses));
  CW_RETURN_IF_ERROR(NormalizeAll(names.uris, NormalizeUri, normal.uris));
  CW_RETURN_IF_ERROR(
      NormalizeAll(names.email_addresses, NormalizeEmail, normal.email_addresses));
  CW_RETURN_IF_ERROR(NormalizeAll(names.other_names, NormalizeOtherName, normal.other_names));
  return normal;
}

std::string IpAddressFromOctets(absl::string_view octets) {
  char text[INET6_ADDRSTRLEN] = {};
  if (octets.size() == sizeof(in_addr)) {
    inet_ntop(AF_INET, octets.data(), text, sizeof text);
  } else if (octets.size() == sizeof(in6_addr)) {
    inet_ntop(AF_INET6, octets.data(), text, sizeof text);
  }
  return text;
}

std::string IpAddressToOctets(absl::string_view address) {
  unsigned char octets[sizeof(in6_addr)] = {};
  for (auto [family, length] :
       {std::pair{AF_INET, sizeof(in_addr)}, {AF_INET6, sizeof octets}}) {
    if (IsAddress(family, address)) {
      inet_pton(family, std::string(address).c_str(), octets);
      return std::string(reinterpret_cast<char*>(octets), length);
    }
  }
  return "";
}

std::string NameSetDifference(const SubjectAltNames& expected, const SubjectAltNames& actual) {
  std::vector<std::string> wanted = Flatten(expected);
  std::vector<std::string> found = Flatten(actual);
  std::vector<std::string> parts;
  for (std::string part :
       {OnlyIn(wanted, found, "missing"), OnlyIn(found, wanted, "unexpected")}) {
    if (!part.empty()) parts.push_back(std::move(part));
  }
  return absl::StrJoin(parts, "; ");
}

}  // namespace certwright::pki
