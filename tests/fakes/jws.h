// The CA's side of JOSE: reading a JWS (RFC 7515 §7.2.2) and a JWK (RFC 7517), and checking
// signatures.
//
// Errors: INVALID_ARGUMENT says what is wrong. Threading: functions without state.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "boost/json/object.hpp"
#include "lib/pki/key.h"
#include "lib/pki/openssl.h"

namespace certwright::fakes {

struct Jws {
  boost::json::object header;
  std::string payload;
  // What is signed, and the signature's octets.
  std::string signed_text;
  std::string signature;
};

// As RFC 8555 §6.2 wants it: flattened, one signature, nothing unprotected.
absl::StatusOr<Jws> ReadJws(absl::string_view body);
absl::StatusOr<Jws> ReadJws(const boost::json::object& jws);

absl::StatusOr<pki::PublicKey> ReadJwk(const boost::json::object& jwk);

// Whether a JWS is signed by `key` with the algorithm that keys of its kind have. Made once for
// a key, as OpenSSL takes its time to get ready for one. Cheap to copy; safe from any thread.
class JwsVerifier {
 public:
  explicit JwsVerifier(const pki::PublicKey& key);
  bool Accepts(const Jws& jws) const;

 private:
  pki::KeySpec spec_;
  std::shared_ptr<const EVP_MD_CTX> prepared_;
};

// Whether its signature is the HMAC-SHA256 (HS256) by `mac_key`.
bool HasMac(const Jws& jws, absl::string_view mac_key);

// A member that is a string; else empty.
std::string StringAt(const boost::json::object& object, absl::string_view name);

}  // namespace certwright::fakes
