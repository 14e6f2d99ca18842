// Public keys as X.509 objects hold them (SubjectPublicKeyInfo, RFC 5280 §4.1.2.7). OpenSSL
// 3.0's generic decoder and encoder take a tenth of a millisecond and more for each, several
// times a signature; keys on the curves of KeySpec do without them here.
//
// Threading: safe from any thread.
#pragma once

#include "lib/pki/openssl.h"

namespace certwright::pki {

// The parameters of P-256, P-384 or P-521 (`nid`), to make keys of; nullptr for others. Never
// freed; OpenSSL only reads it.
EVP_PKEY* CurveTemplate(int nid);

// What X509_set_pubkey() and X509_REQ_set_pubkey() do; the object must be new.
bool SetPublicKey(X509* certificate, EVP_PKEY* key);
bool SetPublicKey(X509_REQ* request, EVP_PKEY* key);

// A request with a key that X509_REQ_get0_pubkey() does not know; nullptr unless `der` begins
// with one. `der` is moved past it, as by d2i_X509_REQ().
OpensslPtr<X509_REQ> DecodeRequestWithoutKey(const unsigned char** der, long length);

// nullptr if it is no key.
OpensslPtr<EVP_PKEY> DecodePublicKey(X509_PUBKEY* spki);

}  // namespace certwright::pki
