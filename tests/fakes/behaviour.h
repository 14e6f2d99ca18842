// Behaviour: how a fake CA is to behave otherwise than plain CAs do, as far as RFC 8555 leaves
// it free or a client must defend itself.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace certwright::fakes {

// What is wrong with the chains that are handed out.
enum class ChainVariant {
  kGood,
  kWithPrivateKey,
  kForOtherKey,
  kMissingName,
  kExtraName,
  kExpired,
  // Begins two hours from now.
  kNotYetValid,
  kWrongOrder,
  kDuplicate,
  kWithRoot,
  kWithoutIntermediate,
  // CRLF, comments and no last newline: nothing wrong at all.
  kOddPem,
  // Nor is there with these: a byte order mark, and no line break between two certificates;
  // labels of old tools; no PEM, but DER.
  kRunTogether,
  kOldLabels,
  kDer,
};

struct Refusal {
  int status = 400;
  // Of ACME's error types: "rejectedIdentifier".
  std::string type = "rejectedIdentifier";
  std::string detail = "as the test wants it";
  // If not zero, in a Retry-After header.
  absl::Duration retry_after = {};
};

// RFC 9773 §4.2.
struct RenewalWindow {
  absl::Time start = {};
  absl::Time end = {};
  std::string explanation_url = {};
};

struct Behaviour {
  // Location and Link name paths only (RFC 9110 §10.2.2).
  bool relative_urls = false;
  // newNonce takes HEAD as well as GET.
  bool takes_head = true;
  // Lists come in any order.
  bool shuffle = false;
  // Percent of good nonces that are refused.
  int bad_nonce_percent = 0;
  // Of JWS, of those that the CA knows; others get badSignatureAlgorithm.
  std::vector<std::string> algorithms = {"ES256", "ES384", "ES512", "RS256", "EdDSA"};

  // An account's authorization that is valid serves its further orders too.
  bool reuse_authorizations = false;
  // An account gets its pending or ready order for the same names and profile again.
  bool reuse_orders = false;
  bool authorizations_born_valid = false;
  // They become valid so long after newOrder by themselves.
  std::optional<absl::Duration> authorizations_valid_after = {};
  // What a new order has too little or too much.
  std::string drop_identifier = {};
  std::string add_identifier = {};
  // Orders with one of these names, or one below it, are refused, with a subproblem a name.
  std::map<std::string, Refusal> refused_names = {};
  // Validation of these names fails so.
  std::map<std::string, Refusal> failed_names = {};
  // Kinds that no client knows are offered as well.
  std::vector<std::string> challenge_types = {"http-01", "dns-01"};
  bool challenges_have_tokens = true;
  absl::Duration order_lifetime = absl::Hours(24);

  // In answers about what is not finished; zero: none.
  absl::Duration retry_after = {};
  // From finalize until the order is valid; may be infinite.
  absl::Duration processing = {};
  bool finalize_has_location = true;
  ChainVariant chain = ChainVariant::kGood;
  // Of certificates, in place of CaServerOptions'.
  std::optional<absl::Duration> lifetime = {};
  // How long before it is issued a certificate begins; its lifetime counts from then.
  absl::Duration backdating = {};
  // Downloads of each certificate that get 404 first.
  int certificate_misses = 0;

  // For every certificate that has none of its own; unset: about two thirds through its life.
  std::optional<RenewalWindow> renewal_window = {};
  // Zero: no header.
  absl::Duration renewal_retry_after = absl::Hours(6);
};

}  // namespace certwright::fakes
