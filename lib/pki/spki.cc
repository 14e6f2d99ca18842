#include "lib/pki/spki.h"

#include <openssl/provider.h>

namespace certwright::pki {
namespace {

EVP_PKEY* MakeCurveTemplate(int nid) {
  EVP_PKEY* parameters = nullptr;
  OpensslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  if (context != nullptr && EVP_PKEY_paramgen_init(context.get()) == 1 &&
      EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context.get(), nid) == 1) {
    EVP_PKEY_paramgen(context.get(), &parameters);
  }
  return parameters;
}

bool SetEcKey(X509_PUBKEY* spki, EVP_PKEY* key) {
  char group[64] = {};
  if (EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) != 1) return false;
  unsigned char* point = nullptr;
  size_t length = EVP_PKEY_get1_encoded_public_key(key, &point);
  // RFC 5480 §2.1.1: the algorithm's parameter is the curve's name.
  ASN1_OBJECT* curve = OBJ_txt2obj(group, /*no_name=*/0);
  if (length > 0 && curve != nullptr &&
      X509_PUBKEY_set0_param(spki, OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT, curve,
                             point, static_cast<int>(length)) == 1) {
    return true;
  }
  ASN1_OBJECT_free(curve);
  OPENSSL_free(point);
  return false;
}

// nullptr unless `algorithm` is a named curve's that has a template.
EVP_PKEY* TemplateFor(const X509_ALGOR* algorithm) {
  const ASN1_OBJECT* object = nullptr;
  const void* parameter = nullptr;
  int parameter_type = 0;
  X509_ALGOR_get0(&object, &parameter_type, &parameter, algorithm);
  if (OBJ_obj2nid(object) != NID_X9_62_id_ecPublicKey || parameter_type != V_ASN1_OBJECT) {
    return nullptr;
  }
  return CurveTemplate(OBJ_obj2nid(static_cast<const ASN1_OBJECT*>(parameter)));
}

OpensslPtr<EVP_PKEY> DecodeGenerically(X509_PUBKEY* spki) {
  unsigned char* der = nullptr;
  const int length = i2d_X509_PUBKEY(spki, &der);
  if (length <= 0) return nullptr;
  const unsigned char* position = der;
  OpensslPtr<EVP_PKEY> key(d2i_PUBKEY(nullptr, &position, length));
  OPENSSL_free(der);
  return key;
}

// Without providers there is no decoder that could be tried.
OSSL_LIB_CTX* LibraryWithoutProviders() {
  static OSSL_LIB_CTX* const library = [] {
    OSSL_LIB_CTX* made = OSSL_LIB_CTX_new();
    // Else the default provider comes by itself.
    if (made != nullptr) OSSL_PROVIDER_load(made, "null");
    return made;
  }();
  return library;
}

}  // namespace

EVP_PKEY* CurveTemplate(int nid) {
  static EVP_PKEY* const p256 = MakeCurveTemplate(NID_X9_62_prime256v1);
  static EVP_PKEY* const p384 = MakeCurveTemplate(NID_secp384r1);
  static EVP_PKEY* const p521 = MakeCurveTemplate(NID_secp521r1);
  switch (nid) {
    case NID_X9_62_prime256v1:
      return p256;
    case NID_secp384r1:
      return p384;
    case NID_secp521r1:
      return p521;
  }
  return nullptr;
}

bool SetPublicKey(X509* certificate, EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return X509_set_pubkey(certificate, key) == 1;
  return SetEcKey(X509_get_X509_PUBKEY(certificate), key);
}

bool SetPublicKey(X509_REQ* request, EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return X509_REQ_set_pubkey(request, key) == 1;
  return SetEcKey(X509_REQ_get_X509_PUBKEY(request), key);
}

OpensslPtr<X509_REQ> DecodeRequestWithoutKey(const unsigned char** der, long length) {
  return OpensslPtr<X509_REQ>(reinterpret_cast<X509_REQ*>(
      ASN1_item_d2i_ex(nullptr, der, length, ASN1_ITEM_rptr(X509_REQ),
                       LibraryWithoutProviders(), /*propq=*/nullptr)));
}

OpensslPtr<EVP_PKEY> DecodePublicKey(X509_PUBKEY* spki) {
  const unsigned char* point = nullptr;
  int length = 0;
  X509_ALGOR* algorithm = nullptr;
  if (X509_PUBKEY_get0_param(nullptr, &point, &length, &algorithm, spki) != 1) return nullptr;
  EVP_PKEY* curve = TemplateFor(algorithm);
  if (curve == nullptr) return DecodeGenerically(spki);
  OpensslPtr<EVP_PKEY> key(EVP_PKEY_dup(curve));
  if (key == nullptr ||
      EVP_PKEY_set1_encoded_public_key(key.get(), point, static_cast<size_t>(length)) != 1) {
    return nullptr;
  }
  return key;
}

}  // namespace certwright::pki
