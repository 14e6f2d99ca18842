// The names a certificate may be for: their rules, their one spelling, and their comparison.
//
// Errors: INVALID_ARGUMENT with the (escaped, shortened) name and the rule that it breaks.
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::pki {

// A name of a kind of its own (RFC 5280 §4.2.1.6, otherName) whose value is a UTF8String, such
// as Microsoft's user principal name, 1.3.6.1.4.1.311.20.2.3.
struct OtherName {
  std::string oid;  // dotted decimal
  std::string utf8_value;

  friend auto operator<=>(const OtherName&, const OtherName&) = default;
};

// Subject alternative names. DNS names are lower-case A-labels without trailing dot; IP
// addresses are in their canonical text form (RFC 5952 for IPv6).
struct SubjectAltNames {
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  std::vector<std::string> uris;
  std::vector<std::string> email_addresses;
  std::vector<OtherName> other_names = {};

  friend bool operator==(const SubjectAltNames&, const SubjectAltNames&) = default;
  bool empty() const {
    return dns_names.empty() && ip_addresses.empty() && uris.empty() &&
           email_addresses.empty() && other_names.empty();
  }
};

// The only spelling in which the rest of the suite handles a DNS name: lower case, without
// the trailing dot, U-labels turned into A-labels (IDNA2008 with UTS #46, non-transitional).
// A-labels need only decode (RFC 3492): which of them it certifies is for the CA to say.
//
// Allowed: labels of 1 to 63 letters, digits and inner hyphens (RFC 1123 §2.1), 253 octets in
// all, 64 labels at most (finding a zone costs a query per label), and one leading "*." label.
// A single label ("localhost") is allowed, for private CAs issue for those; public CAs refuse
// them. Not allowed: underscores, IP addresses, a number ("7", "0x7") as the last label.
absl::StatusOr<std::string> NormalizeDnsName(absl::string_view name);

// Canonical text of an IPv4 (dotted quad) or IPv6 (RFC 5952) address; no zone, no brackets.
// An IPv4-mapped IPv6 address becomes the IPv4 address.
absl::StatusOr<std::string> NormalizeIpAddress(absl::string_view address);

// `local@domain`, ASCII, the local part a dot-atom whose case is kept (RFC 5321 §4.1.2), the
// domain a DNS name without wildcard.
absl::StatusOr<std::string> NormalizeEmail(absl::string_view address);

// "mailto:…" (RFC 6068 §2) for an address as NormalizeEmail() takes it, but whose local part
// may hold UTF-8 (RFC 6531).
absl::StatusOr<std::string> MailtoUrl(absl::string_view address);

// An absolute URI (RFC 3986 §3) of at most 2048 ASCII characters; only the scheme is
// lower-cased, as what else may be is the scheme's business.
absl::StatusOr<std::string> NormalizeUri(absl::string_view uri);

// The name as it is, if its identifier is a dotted one and its value is UTF-8 of 1 to 2048
// octets without NUL.
absl::StatusOr<OtherName> NormalizeOtherName(const OtherName& name);

// Every name in its one spelling, each kind sorted and without duplicates; the first error.
absl::StatusOr<SubjectAltNames> NormalizeNames(const SubjectAltNames& names);

// Text of the 4 or 16 octets that a certificate holds; empty for another length.
std::string IpAddressFromOctets(absl::string_view octets);
// The inverse, for a text that NormalizeIpAddress() accepts; else empty.
std::string IpAddressToOctets(absl::string_view address);

// How `actual` differs from `expected` as sets, for a message: "missing a.example; unexpected
// b.example". Empty if they are equal. Names are compared as they are spelled.
std::string NameSetDifference(const SubjectAltNames& expected, const SubjectAltNames& actual);

}  // namespace certwright::pki
