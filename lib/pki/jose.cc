#include "lib/pki/jose.h"

#include <openssl/core_names.h>

#include <algorithm>
#include <array>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/base/base64.h"
#include "lib/pki/openssl.h"

namespace certwright::pki {
namespace {

// Octets of a coordinate, and of each half of a signature (RFC 7518 §3.4, §6.2.1.2).
int CoordinateBytes(int curve_size) { return (curve_size + 7) / 8; }

std::string BigEndian(const BIGNUM* number, int length) {
  std::string bytes(static_cast<size_t>(length), '\0');
  BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), length);
  return bytes;
}

// base64url of the key's number `name`, at least `min_length` octets long.
std::string NumberParameter(EVP_PKEY* key, const char* name, int min_length) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) return "";
  OpensslPtr<BIGNUM> number(raw);
  return base::Base64UrlEncode(
      BigEndian(number.get(), std::max(min_length, BN_num_bytes(number.get()))));
}

// DER SEQUENCE { r, s } to r‖s.
absl::StatusOr<std::string> RawEcdsaSignature(absl::string_view der, int curve_size) {
  const auto* position = reinterpret_cast<const unsigned char*>(der.data());
  OpensslPtr<ECDSA_SIG> signature(
      d2i_ECDSA_SIG(nullptr, &position, static_cast<long>(der.size())));
  if (signature == nullptr) {
    return OpensslError(absl::StatusCode::kInternal, "cannot read back an ECDSA signature");
  }
  int length = CoordinateBytes(curve_size);
  return absl::StrCat(BigEndian(ECDSA_SIG_get0_r(signature.get()), length),
                      BigEndian(ECDSA_SIG_get0_s(signature.get()), length));
}

}  // namespace

std::string JoseAlgorithm(const PublicKey& key) {
  KeySpec spec = key.spec();
  switch (spec.algorithm) {
    case KeyAlgorithm::kRsa:
      return "RS256";
    case KeyAlgorithm::kEcdsa:
      return spec.size == 256 ? "ES256" : spec.size == 384 ? "ES384" : "ES512";
    case KeyAlgorithm::kEd25519:
      break;
  }
  return "EdDSA";
}

std::string JwkJson(const PublicKey& key) {
  OpensslErrorScope scope;
  KeySpec spec = key.spec();
  switch (spec.algorithm) {
    case KeyAlgorithm::kRsa:
      return absl::StrCat(R"({"e":")", NumberParameter(key.get(), OSSL_PKEY_PARAM_RSA_E, 1),
                          R"(","kty":"RSA","n":")",
                          NumberParameter(key.get(), OSSL_PKEY_PARAM_RSA_N, 1), R"("})");
    case KeyAlgorithm::kEcdsa: {
      int length = CoordinateBytes(spec.size);
      return absl::StrCat(
          R"({"crv":"P-)", spec.size, R"(","kty":"EC","x":")",
          NumberParameter(key.get(), OSSL_PKEY_PARAM_EC_PUB_X, length), R"(","y":")",
          NumberParameter(key.get(), OSSL_PKEY_PARAM_EC_PUB_Y, length), R"("})");
    }
    case KeyAlgorithm::kEd25519:
      break;
  }
  std::array<unsigned char, 32> raw = {};
  size_t length = raw.size();
  EVP_PKEY_get_raw_public_key(key.get(), raw.data(), &length);
  return absl::StrCat(
      R"({"crv":"Ed25519","kty":"OKP","x":")",
      base::Base64UrlEncode(absl::string_view(reinterpret_cast<char*>(raw.data()), raw.size())),
      R"("})");
}

std::string JwkThumbprint(const PublicKey& key) {
  std::string jwk = JwkJson(key);
  std::array<unsigned char, 32> hash = {};
  unsigned length = hash.size();
  EVP_Digest(jwk.data(), jwk.size(), hash.data(), &length, EVP_sha256(), nullptr);
  return base::Base64UrlEncode(
      absl::string_view(reinterpret_cast<char*>(hash.data()), hash.size()));
}

absl::StatusOr<std::string> SignJose(const PrivateKey& key, absl::string_view message) {
  return JoseSigner(key).Sign(message);
}

JoseSigner::JoseSigner(const PrivateKey& key)
    : spec_(key.spec()), max_size_(static_cast<std::size_t>(EVP_PKEY_get_size(key.get()))) {
  OpensslErrorScope scope;
  OpensslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  if (context != nullptr && EVP_DigestSignInit(context.get(), nullptr, SignatureDigest(spec_),
                                               nullptr, key.get()) == 1) {
    prepared_ = std::shared_ptr<EVP_MD_CTX>(context.release(), EVP_MD_CTX_free);
  }
}

absl::StatusOr<std::string> JoseSigner::Sign(absl::string_view message) const {
  OpensslErrorScope scope;
  std::string signature(max_size_, '\0');
  size_t length = signature.size();
  OpensslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  if (prepared_ == nullptr || context == nullptr ||
      EVP_MD_CTX_copy_ex(context.get(), prepared_.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                     reinterpret_cast<const unsigned char*>(message.data()),
                     message.size()) != 1) {
    return OpensslError(absl::StatusCode::kInternal, "cannot sign with the private key");
  }
  signature.resize(length);
  if (spec_.algorithm != KeyAlgorithm::kEcdsa) return signature;
  return RawEcdsaSignature(signature, spec_.size);
}

}  // namespace certwright::pki
