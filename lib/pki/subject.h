// Subjects: the X.500 names of those that certificates are for (RFC 5280 §4.1.2.6), by parts
// or as the text of RFC 4514.
//
// Encoded they are the DER of an X.501 Name, which nothing here changes once it is made:
// parts that Subject has no member for and relative names of several values stay in it.
//
// Errors: INVALID_ARGUMENT names the part and the rule that it breaks.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::pki {

// Parts of an X.500 name; each may have several values (RFC 5280 appendix A.1).
struct Subject {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> countries;
  std::vector<std::string> organizational_units;
  std::vector<std::string> localities;
  std::vector<std::string> provinces;
  std::vector<std::string> street_addresses;
  std::vector<std::string> postal_codes;
  std::string serial_number;

  friend bool operator==(const Subject&, const Subject&) = default;
};

// INVALID_ARGUMENT, naming the part, unless a request can have this subject: RFC 5280 bounds
// the lengths of its parts, and countries are two letters.
absl::Status CheckSubject(const Subject& subject);

absl::StatusOr<std::string> EncodeSubject(const Subject& subject);

// The Name that a text such as "CN=foo,OU=a+L=b,DC=example,DC=com" means. The text starts with
// the last relative name (RFC 4514 §2.1), so here DC=com is encoded first.
//
// Types are CN, C, O, OU, L, ST, STREET, postalCode, serialNumber, DC and UID in any case, and
// dotted object identifiers. In values "\," and "\2C" are escapes, and "#hex" is refused.
// Spaces before a type are ignored. At most 4096 octets and 64 parts, of which one may be a
// common name and one a serial number.
absl::StatusOr<std::string> EncodeLiteralSubject(absl::string_view text);

// One attribute of a subject, whatever its type.
struct SubjectAttribute {
  // Dotted decimal.
  std::string oid;
  // UTF-8 without control characters.
  std::string value;

  friend bool operator==(const SubjectAttribute&, const SubjectAttribute&) = default;
};

// Every attribute of an encoded Name in its order, also those that share a relative name.
// INVALID_ARGUMENT names one whose value not all programs read alike: no text, a T61String,
// octets that its type does not have, or control characters.
absl::StatusOr<std::vector<SubjectAttribute>> SubjectAttributesOf(absl::string_view der);

// The parts of an encoded Name. Those that Subject has no member for are left out, but none
// may have a control character.
absl::StatusOr<Subject> DecodeSubject(absl::string_view der);

}  // namespace certwright::pki
