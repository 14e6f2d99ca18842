// What JOSE needs of a key: its JWK, its thumbprint, and signatures in JWS form
// (RFC 7515, 7517, 7518, 7638, 8037).
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/pki/key.h"

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace certwright::pki {

// "RS256", "ES256", "ES384", "ES512" or "EdDSA".
std::string JoseAlgorithm(const PublicKey& key);

// The JWK as JSON with just the required members in lexicographic order and no white space:
// the form that RFC 7638 §3 hashes.
std::string JwkJson(const PublicKey& key);

// base64url(SHA-256(JwkJson)), RFC 7638.
std::string JwkThumbprint(const PublicKey& key);

// `message` signed with JoseAlgorithm(key): for ECDSA the raw r‖s, never DER. Not encoded.
absl::StatusOr<std::string> SignJose(const PrivateKey& key, absl::string_view message);

// SignJose() for many messages: OpenSSL gets ready for the key once, which takes it a tenth of
// the time of a signature on P-256. Cheap to copy; safe from any thread.
class JoseSigner {
 public:
  explicit JoseSigner(const PrivateKey& key);
  absl::StatusOr<std::string> Sign(absl::string_view message) const;

 private:
  KeySpec spec_;
  std::size_t max_size_;
  // Holds the key; nullptr if OpenSSL cannot sign with it.
  std::shared_ptr<const evp_md_ctx_st> prepared_;
};

}  // namespace certwright::pki
