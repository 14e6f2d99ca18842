#include "tests/fakes/jws.h"

#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/json/parse.hpp"
#include "lib/base/base64.h"
#include "lib/base/status_macros.h"
#include "lib/pki/openssl.h"

namespace certwright::fakes {
namespace {

namespace json = boost::json;

const unsigned char* Data(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

absl::StatusOr<json::object> ParseObject(absl::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse({text.data(), text.size()}, error);
  if (error || !value.is_object()) return absl::InvalidArgumentError("not a JSON object");
  return std::move(value.as_object());
}

absl::StatusOr<std::string> Decode(const json::object& object, absl::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_string()) {
    return absl::InvalidArgumentError(absl::StrCat("no member ", name));
  }
  std::optional<std::string> bytes = base::Base64UrlDecode(StringAt(object, name));
  if (!bytes.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is not base64url"));
  }
  return *std::move(bytes);
}

using Params = std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)>;
using ParamsBuilder = std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)>;

absl::StatusOr<pki::PublicKey> FromParams(const char* type, OSSL_PARAM_BLD* builder) {
  const Params params(OSSL_PARAM_BLD_to_param(builder), OSSL_PARAM_free);
  const pki::OpensslPtr<EVP_PKEY_CTX> context(
      EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (params == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return absl::InvalidArgumentError("the JWK is no key");
  }
  const pki::OpensslPtr<EVP_PKEY> owned(key);
  return pki::PublicKey::FromOpenssl(key);
}

absl::StatusOr<pki::PublicKey> ReadEc(const json::object& jwk) {
  CW_ASSIGN_OR_RETURN(const std::string x, Decode(jwk, "x"));
  CW_ASSIGN_OR_RETURN(const std::string y, Decode(jwk, "y"));
  const std::string curve = StringAt(jwk, "crv");
  const char* group = curve == "P-256"   ? "prime256v1"
                      : curve == "P-384" ? "secp384r1"
                      : curve == "P-521" ? "secp521r1"
                                         : nullptr;
  if (group == nullptr) return absl::InvalidArgumentError("unknown curve");
  const std::string point = absl::StrCat("\x04", x, y);
  const ParamsBuilder builder(OSSL_PARAM_BLD_new(), OSSL_PARAM_BLD_free);
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                   point.size());
  return FromParams("EC", builder.get());
}

absl::StatusOr<pki::PublicKey> ReadRsa(const json::object& jwk) {
  CW_ASSIGN_OR_RETURN(const std::string n, Decode(jwk, "n"));
  CW_ASSIGN_OR_RETURN(const std::string e, Decode(jwk, "e"));
  const pki::OpensslPtr<BIGNUM> modulus(
      BN_bin2bn(Data(n), static_cast<int>(n.size()), nullptr));
  const pki::OpensslPtr<BIGNUM> exponent(
      BN_bin2bn(Data(e), static_cast<int>(e.size()), nullptr));
  const ParamsBuilder builder(OSSL_PARAM_BLD_new(), OSSL_PARAM_BLD_free);
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
  return FromParams("RSA", builder.get());
}

absl::StatusOr<pki::PublicKey> ReadOkp(const json::object& jwk) {
  CW_ASSIGN_OR_RETURN(const std::string x, Decode(jwk, "x"));
  if (StringAt(jwk, "crv") != "Ed25519") return absl::InvalidArgumentError("unknown curve");
  const pki::OpensslPtr<EVP_PKEY> key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Data(x), x.size()));
  if (key == nullptr) return absl::InvalidArgumentError("the JWK is no key");
  return pki::PublicKey::FromOpenssl(key.get());
}

// r‖s as DER; nullopt if the size is not the curve's.
std::optional<std::string> EcdsaDer(absl::string_view raw, int bits) {
  const std::size_t half = (bits + 7) / 8;
  if (raw.size() != 2 * half) return std::nullopt;
  const pki::OpensslPtr<ECDSA_SIG> signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(Data(raw), static_cast<int>(half), nullptr),
                 BN_bin2bn(Data(raw) + half, static_cast<int>(half), nullptr));
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  if (size <= 0) return std::nullopt;
  std::string bytes(reinterpret_cast<char*>(der), size);
  OPENSSL_free(der);
  return bytes;
}

}  // namespace

std::string StringAt(const json::object& object, absl::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_string()) return "";
  return std::string(value->as_string());
}

absl::StatusOr<Jws> ReadJws(absl::string_view body) {
  CW_ASSIGN_OR_RETURN(const json::object object, ParseObject(body));
  return ReadJws(object);
}

absl::StatusOr<Jws> ReadJws(const json::object& object) {
  if (object.size() != 3) {
    return absl::InvalidArgumentError("a JWS has protected, payload and signature only");
  }
  Jws jws;
  CW_ASSIGN_OR_RETURN(const std::string header, Decode(object, "protected"));
  CW_ASSIGN_OR_RETURN(jws.payload, Decode(object, "payload"));
  CW_ASSIGN_OR_RETURN(jws.signature, Decode(object, "signature"));
  CW_ASSIGN_OR_RETURN(jws.header, ParseObject(header));
  if (jws.header.contains("b64") || jws.header.contains("crit")) {
    return absl::InvalidArgumentError("b64 and crit are not for ACME");
  }
  jws.signed_text =
      absl::StrCat(StringAt(object, "protected"), ".", StringAt(object, "payload"));
  return jws;
}

absl::StatusOr<pki::PublicKey> ReadJwk(const json::object& jwk) {
  const pki::OpensslErrorScope scope;
  const std::string type = StringAt(jwk, "kty");
  if (type == "EC") return ReadEc(jwk);
  if (type == "RSA") return ReadRsa(jwk);
  if (type == "OKP") return ReadOkp(jwk);
  return absl::InvalidArgumentError("unknown kind of key");
}

JwsVerifier::JwsVerifier(const pki::PublicKey& key) : spec_(key.spec()) {
  const pki::OpensslErrorScope scope;
  pki::OpensslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  if (EVP_DigestVerifyInit(context.get(), nullptr, pki::SignatureDigest(spec_), nullptr,
                           key.get()) == 1) {
    prepared_ = std::shared_ptr<EVP_MD_CTX>(context.release(), EVP_MD_CTX_free);
  }
}

bool JwsVerifier::Accepts(const Jws& jws) const {
  const pki::OpensslErrorScope scope;
  std::string signature = jws.signature;
  if (spec_.algorithm == pki::KeyAlgorithm::kEcdsa) {
    std::optional<std::string> der = EcdsaDer(jws.signature, spec_.size);
    if (!der.has_value()) return false;
    signature = *std::move(der);
  }
  const pki::OpensslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  return prepared_ != nullptr && EVP_MD_CTX_copy_ex(context.get(), prepared_.get()) == 1 &&
         EVP_DigestVerify(context.get(), Data(signature), signature.size(),
                          Data(jws.signed_text), jws.signed_text.size()) == 1;
}

bool HasMac(const Jws& jws, absl::string_view mac_key) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), mac_key.data(), static_cast<int>(mac_key.size()), Data(jws.signed_text),
       jws.signed_text.size(), mac, &size);
  return jws.signature == absl::string_view(reinterpret_cast<char*>(mac), size);
}

}  // namespace certwright::fakes
