// What the text of a rateLimited problem says beyond its type: which limit was reached, or
// where a paused account is set free. RFC 8555 §6.6 leaves that to the CA; the texts are those
// of Boulder, which Let's Encrypt runs, and are also what it has said in earlier years.
//
// The text is the CA's and so untrusted: what is not understood is kUnknown.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace certwright::acme {

enum class ReachedLimit {
  kUnknown,
  // One that no order draws on, such as that on new accounts.
  kOther,
  kOrdersPerAccount,
  kCertificatesPerDomain,
  kCertificatesPerNameSet,
  kFailedValidations,
};

struct RateLimitDetail {
  ReachedLimit limit = ReachedLimit::kUnknown;
  // Of kCertificatesPerDomain: a registered domain, an IPv4 address or an IPv6 network
  // ("2001:db8::/64"); of kFailedValidations: a DNS name or an address. In the one spelling of
  // lib/pki/names.h. Else empty.
  std::string name;

  friend bool operator==(const RateLimitDetail&, const RateLimitDetail&) = default;
};

RateLimitDetail ParseRateLimitDetail(absl::string_view detail);

// The first https URL in the text that leads to Let's Encrypt's self-service for accounts whose
// names were paused after they had failed for weeks: its path begins with "/sfe/" or holds
// "/unpause". At most 2 KiB, printable ASCII; nullopt if there is none.
std::optional<std::string> UnpauseUrl(absl::string_view detail);

// Whether a problem of this type (without its prefix) and text says that Let's Encrypt has
// paused the account's orders for its names, which only a visit to the UnpauseUrl() ends.
bool IsPause(absl::string_view short_type, absl::string_view detail);

}  // namespace certwright::acme
