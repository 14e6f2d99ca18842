// The limits of a CA that are kept on our side, and which of them one order draws on: pure
// functions.
//
// Each limit is a number of buckets: new orders one for each account, certificates one for each
// registered domain and one for each set of names at a CA, failed validations one for each name
// and account. What Let's Encrypt publishes is the default, and so are its exemptions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "lib/acme/rate_limit_detail.h"
#include "lib/pki/names.h"

namespace certwright::issuer_service {

// On a CertificateRequest: serial number of the certificate of the same issuer, for exactly the
// same names, that it renews.
inline constexpr char kRenewsAnnotation[] = "certwright.io/renews";

enum class LimitKind { kOrders, kDomain, kNameSet, kFailures };

struct Limit {
  // What fits in `window`. 0: no limit.
  int64_t count = 0;
  absl::Duration window = {};

  // How long it takes until one is given back.
  absl::Duration cost() const { return count > 0 ? window / count : absl::ZeroDuration(); }
  friend bool operator==(const Limit&, const Limit&) = default;
};

struct RateLimits {
  Limit orders = {};
  Limit per_domain = {};
  Limit per_name_set = {};
  Limit failures = {};

  bool none() const { return *this == RateLimits(); }
  friend bool operator==(const RateLimits&, const RateLimits&) = default;
};

// spec.rate_limits; without them none, but for Let's Encrypt's production servers those that it
// publishes.
RateLimits RateLimitsOf(const issuer::v1::AcmeIssuer& issuer);

// Why an order may count for less.
enum class Exemption {
  kNone,
  // It renews a certificate of the same CA for exactly the same names.
  kRenewal,
  // It names the certificate that it replaces while the CA advises to replace it (RFC 9773 §5).
  kAdvised,
};

// What the buckets of an order depend on.
struct LimitedOrder {
  // The directory URL of the CA: what it issues for a domain counts for all accounts alike.
  std::string server;
  // The URL of the account.
  std::string account;
  pki::SubjectAltNames names;
  Exemption exemption = Exemption::kNone;
};

// One bucket that an order takes something from.
struct Draw {
  std::string bucket;
  Limit limit;

  friend bool operator==(const Draw&, const Draw&) = default;
};

// An advised renewal draws only on the failed validations of its names, another renewal not on
// those of domains. Also those without a limit, since the CA may have closed them.
std::vector<Draw> DrawsOf(const RateLimits& limits, const LimitedOrder& order);

// The bucket whose limit the CA says is reached; empty if it is none that the order draws on.
// A text that is not understood means the account's orders, if it came when the order was
// placed.
std::string ReachedBucket(const acme::RateLimitDetail& detail, const LimitedOrder& order,
                          bool placing);

std::string FailuresBucket(const std::string& account, absl::string_view name);

LimitKind KindOf(absl::string_view bucket);
// "CertificatesPerDomain", a condition's reason.
std::string LimitReason(absl::string_view bucket);
// What the bucket counts, for people: "certificates for example.com". A set of names and an
// account are not named.
std::string DescribeBucket(absl::string_view bucket);
// The field of the issuer that sets its limit.
std::string LimitField(absl::string_view bucket);

}  // namespace certwright::issuer_service
