// What a fake CA keeps: the resources of RFC 8555 §7.1, as its handlers see them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "boost/json/object.hpp"
#include "lib/pki/certificate.h"
#include "lib/pki/key.h"
#include "tests/fakes/behaviour.h"
#include "tests/fakes/jws.h"

namespace certwright::fakes {

using Id = uint64_t;

struct Identifier {
  std::string type;
  // Lower case; with "*." in orders only.
  std::string value;

  friend auto operator<=>(const Identifier&, const Identifier&) = default;
};

struct AccountEntry {
  explicit AccountEntry(const pki::PublicKey& public_key)
      : key(public_key), verifier(public_key) {}

  pki::PublicKey key;
  JwsVerifier verifier;
  std::string jwk;
  std::string thumbprint;
  bool active = true;
  std::vector<std::string> contacts;
  // As the client sent it.
  std::optional<boost::json::object> external_account;
};

struct ChallengeEntry {
  Id authorization = 0;
  std::string type;
  std::string token;
  std::string status = "pending";
  std::optional<Refusal> error;
  absl::Time validated;
};

struct AuthorizationEntry {
  Id account = 0;
  // Without "*.".
  Identifier identifier;
  bool wildcard = false;
  std::string status = "pending";
  absl::Time expires;
  // When it becomes valid by itself.
  absl::Time valid_at = absl::InfiniteFuture();
  std::vector<Id> challenges;
};

struct OrderEntry {
  Id account = 0;
  std::vector<Identifier> identifiers;
  std::vector<Id> authorizations;
  std::string profile;
  std::string replaces;
  absl::Time expires;
  // Set by finalize.
  bool finalized = false;
  absl::Time valid_at = absl::InfiniteFuture();
  Id certificate = 0;
};

struct CertificateEntry {
  Id account = 0;
  std::vector<Identifier> identifiers;
  std::string der;
  // RFC 9773 §4.1.
  std::string cert_id;
  absl::Time not_before;
  absl::Time not_after;
  std::optional<int> revocation_reason;
  // The order that replaces it.
  Id replaced_by = 0;
  int misses_left = 0;
  std::optional<RenewalWindow> renewal_window;
};

}  // namespace certwright::fakes
