// Private and public keys, through OpenSSL's EVP interface only.
//
// Ownership: both types are cheap to copy and share one immutable EVP_PKEY.
// Threading: safe from any thread.
// Errors: INVALID_ARGUMENT for text that is no key or of a kind not allowed here, with
// OpenSSL's reason; never the text itself.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/secret.h"

struct evp_md_st;    // OpenSSL's EVP_MD
struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace certwright::pki {

enum class KeyAlgorithm { kRsa, kEcdsa, kEd25519 };
enum class KeyEncoding { kPkcs1, kPkcs8 };

struct KeySpec {
  KeyAlgorithm algorithm = KeyAlgorithm::kEcdsa;
  // RSA: bits, 2048 to 8192. ECDSA: 256, 384 or 521. Ed25519: 0.
  int size = 256;

  friend bool operator==(const KeySpec&, const KeySpec&) = default;
};

// The hash that signatures by such a key are made with, in JOSE and in X.509: SHA-256, or as
// wide as the curve; nullptr for Ed25519, which has its own.
const evp_md_st* SignatureDigest(KeySpec spec);

// The hash of an algorithm in cert-manager's words: "SHA256WithRSA", "ECDSAWithSHA384",
// "PureEd25519" (nullptr, as above). Empty: what SignatureDigest() says. INVALID_ARGUMENT for
// another word, and for one that keys like `spec` do not sign with.
absl::StatusOr<const evp_md_st*> SignatureDigestOf(absl::string_view algorithm, KeySpec spec);

class PublicKey {
 public:
  // The key if it is of a kind that KeySpec can name; the caller keeps its own reference.
  static absl::StatusOr<PublicKey> FromOpenssl(evp_pkey_st* key);

  explicit PublicKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  evp_pkey_st* get() const { return key_.get(); }
  KeySpec spec() const;
  // DER of the SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
  std::string Spki() const;
  // "RSA 2048", "ECDSA P-256" or "Ed25519", for messages.
  std::string Description() const;
  friend bool operator==(const PublicKey& a, const PublicKey& b);

 private:
  std::shared_ptr<evp_pkey_st> key_;
};

class PrivateKey {
 public:
  // INVALID_ARGUMENT for a size that the algorithm does not have.
  static absl::StatusOr<PrivateKey> Generate(KeySpec spec);
  // PKCS#8, PKCS#1 or SEC1 PEM, at most 16 KiB, unencrypted. Exactly one block is a private
  // key; those beside it that are none (parameters, certificates) are passed over. The private
  // and the public part are checked to belong together.
  static absl::StatusOr<PrivateKey> ParsePem(absl::string_view pem);

  explicit PrivateKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  evp_pkey_st* get() const { return key_.get(); }
  KeySpec spec() const { return public_key().spec(); }
  PublicKey public_key() const { return PublicKey(key_); }
  // kPkcs1 means the algorithm's traditional form: PKCS#1 for RSA, SEC1 for ECDSA, and
  // PKCS#8 for Ed25519, which has no other.
  base::Secret ToPem(KeyEncoding encoding = KeyEncoding::kPkcs8) const;
  // What that text holds.
  base::Secret ToDer(KeyEncoding encoding = KeyEncoding::kPkcs8) const;

 private:
  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace certwright::pki
