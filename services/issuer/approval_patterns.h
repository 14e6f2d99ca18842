// What the rules of an approval policy compare requests with: patterns and ranges of addresses.
//
// Errors: INVALID_ARGUMENT with the rule that the text breaks, as a clause.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "certwright/meta/v1/meta.pb.h"
#include "lib/pki/subject.h"

namespace certwright::issuer_service {

// Of an e-mail address in a subject (RFC 5280 §4.1.2.6).
inline constexpr char kEmailAddressOid[] = "1.2.840.113549.1.9.1";

// Whether all of `text` matches: "*" stands for any number of characters, all others for
// themselves. Takes no more than pattern's times text's length.
bool MatchesPattern(absl::string_view pattern, absl::string_view text);

// A pattern as it is compared with what stands in its one spelling: 1 to 2048 characters.
absl::StatusOr<std::string> ParsePattern(absl::string_view text);
// The same for DNS names and common names, which are compared in lower case; a name in Unicode
// becomes its A-labels.
absl::StatusOr<std::string> ParseDnsPattern(absl::string_view text);
// The same for e-mail addresses, whose domain is compared in lower case.
absl::StatusOr<std::string> ParseEmailPattern(absl::string_view text);

// Which issuers are meant: "<pattern>" for Issuers, "ClusterIssuer/<pattern>" for
// ClusterIssuers.
class IssuerPattern {
 public:
  static absl::StatusOr<IssuerPattern> Parse(absl::string_view text);

  bool Matches(const meta::v1::IssuerRef& ref) const;

 private:
  bool cluster_ = false;
  std::string name_;
};

// Which attributes of a subject are meant: "O=Example*". The type is a word of RFC 4514 or a
// dotted identifier; the value is compared as it is spelled.
class SubjectPattern {
 public:
  static absl::StatusOr<SubjectPattern> Parse(absl::string_view text);

  bool Matches(const pki::SubjectAttribute& attribute) const;

 private:
  std::string oid_;
  std::string value_;
};

// "192.0.2.0/24", "2001:db8::/32", or a single address.
class AddressRange {
 public:
  static absl::StatusOr<AddressRange> Parse(absl::string_view text);

  // False for what is no address.
  bool Contains(absl::string_view address) const;

 private:
  // The network, without what was set behind the prefix, and the mask.
  std::string network_;
  std::string mask_;
};

}  // namespace certwright::issuer_service
