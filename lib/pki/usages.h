// What a certificate's key may be used for, in cert-manager's words (RFC 5280 §4.2.1.3 and
// §4.2.1.12).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace certwright::pki {

struct UsageSet {
  // Bit n set: bit n of the KeyUsage BIT STRING (0 digitalSignature … 8 decipherOnly).
  unsigned key_usage = 0;
  // Dotted object identifiers, each once, in the order of the words.
  std::vector<std::string> extended_key_usages;

  friend bool operator==(const UsageSet&, const UsageSet&) = default;
};

inline constexpr int kKeyUsageBits = 9;
inline constexpr unsigned kCertSignBit = 1u << 5;

// INVALID_ARGUMENT names the first word that is unknown. "signing" is another word for
// "digital signature", and "s/mime" for "email protection".
absl::StatusOr<UsageSet> ParseUsages(const std::vector<std::string>& words);

// The words for `usages`; an identifier without a word stays a dotted identifier.
std::vector<std::string> UsageWords(const UsageSet& usages);

// All words that ParseUsages() knows.
std::vector<std::string> AllUsageWords();

}  // namespace certwright::pki
