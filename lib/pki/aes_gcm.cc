#include "lib/pki/aes_gcm.h"

#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "lib/pki/openssl.h"

namespace certwright::pki {
namespace {

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherPtr = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(std::string& text, std::size_t offset = 0) {
  return reinterpret_cast<unsigned char*>(text.data()) + offset;
}

// Calls that can only fail for want of memory, entropy or the algorithm itself.
void Require(bool done) {
  if (!done) std::abort();
}

CipherPtr Start(bool seal, const base::Secret& key, const unsigned char* nonce,
                absl::string_view associated) {
  Require(key.Reveal().size() == kAesKeyBytes);
  CipherPtr cipher(EVP_CIPHER_CTX_new());
  Require(cipher != nullptr);
  Require(EVP_CipherInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, Bytes(key.Reveal()),
                            nonce, seal ? 1 : 0) == 1);
  int size = 0;
  Require(EVP_CipherUpdate(cipher.get(), nullptr, &size, Bytes(associated),
                           static_cast<int>(associated.size())) == 1);
  return cipher;
}

}  // namespace

std::string AesGcmSeal(const base::Secret& key, absl::string_view associated,
                       absl::string_view plain) {
  const OpensslErrorScope errors;
  std::string sealed(kAesGcmNonceBytes + plain.size() + kAesGcmTagBytes, '\0');
  Require(RAND_bytes(Bytes(sealed), kAesGcmNonceBytes) == 1);
  const CipherPtr cipher = Start(true, key, Bytes(sealed), associated);
  int size = 0;
  Require(EVP_EncryptUpdate(cipher.get(), Bytes(sealed, kAesGcmNonceBytes), &size, Bytes(plain),
                            static_cast<int>(plain.size())) == 1);
  unsigned char* tag = Bytes(sealed, kAesGcmNonceBytes + plain.size());
  Require(EVP_EncryptFinal_ex(cipher.get(), tag, &size) == 1);
  Require(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kAesGcmTagBytes, tag) == 1);
  return sealed;
}

std::optional<base::Secret> AesGcmOpen(const base::Secret& key, absl::string_view associated,
                                       absl::string_view sealed) {
  const OpensslErrorScope errors;
  if (sealed.size() < kAesGcmNonceBytes + kAesGcmTagBytes) return std::nullopt;
  const CipherPtr cipher = Start(false, key, Bytes(sealed), associated);
  const std::size_t plain_size = sealed.size() - kAesGcmNonceBytes - kAesGcmTagBytes;
  std::string plain(plain_size, '\0');
  std::string tag(sealed.substr(sealed.size() - kAesGcmTagBytes));
  int size = 0;
  unsigned char rest[kAesGcmTagBytes];
  const bool opened = EVP_DecryptUpdate(cipher.get(), Bytes(plain), &size,
                                        Bytes(sealed.substr(kAesGcmNonceBytes)),
                                        static_cast<int>(plain_size)) == 1 &&
                      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kAesGcmTagBytes,
                                          tag.data()) == 1 &&
                      EVP_DecryptFinal_ex(cipher.get(), rest, &size) == 1;
  base::Secret secret(std::move(plain));
  if (!opened) return std::nullopt;
  return secret;
}

base::Secret NewAesKey() {
  std::string key(kAesKeyBytes, '\0');
  Require(RAND_priv_bytes(Bytes(key), static_cast<int>(key.size())) == 1);
  return base::Secret(std::move(key));
}

base::Secret DeriveKey(const base::Secret& key, absl::string_view label) {
  std::string derived(kAesKeyBytes, '\0');
  unsigned int size = 0;
  Require(HMAC(EVP_sha256(), key.Reveal().data(), static_cast<int>(key.Reveal().size()),
               Bytes(label), label.size(), Bytes(derived), &size) != nullptr);
  return base::Secret(std::move(derived));
}

}  // namespace certwright::pki
