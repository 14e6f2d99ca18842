// JKS: big-endian numbers, each text with its length before it, and at the end a SHA-1 of
// password and contents (sun.security.provider.JavaKeyStore is its only definition).
#include <openssl/rand.h>

#include <cstdint>
#include <initializer_list>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"
#include "lib/pki/general_name.h"
#include "lib/pki/keystore.h"
#include "lib/pki/keystore_checks.h"
#include "lib/pki/openssl.h"

namespace certwright::pki {
namespace {

constexpr uint32_t kMagic = 0xfeedfeed;
constexpr uint32_t kVersion = 2;
constexpr uint32_t kKeyEntry = 1;
constexpr uint32_t kCertificateEntry = 2;
constexpr size_t kSha1Length = 20;
constexpr size_t kMaxAliasLength = 255;
constexpr char kKeyProtector[] = "1.3.6.1.4.1.42.2.17.1.1";
// Part of the format.
constexpr absl::string_view kWhitener = "Mighty Aphrodite";

absl::Status Failed() {
  return OpensslError(absl::StatusCode::kInternal, "cannot make a JKS store");
}

std::string BigEndian(uint64_t number, int octets) {
  std::string text;
  for (int i = octets - 1; i >= 0; --i) text += static_cast<char>(number >> (8 * i));
  return text;
}

std::string Uint32(uint64_t number) { return BigEndian(number, 4); }

// ASCII, of which Java's modified UTF-8 is the same.
std::string Text(absl::string_view text) {
  return absl::StrCat(BigEndian(text.size(), 2), text);
}

std::string WithLength(absl::string_view bytes) {
  return absl::StrCat(Uint32(bytes.size()), bytes);
}

std::string Milliseconds(absl::Time time) {
  return BigEndian(static_cast<uint64_t>(absl::ToUnixMillis(time)), 8);
}

// The code point of the well-formed sequence of `length` octets that `text` starts with.
uint32_t CodePoint(absl::string_view text, size_t length) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (length == 1) return first;
  uint32_t point = first & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    point = point << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
  }
  return point;
}

// Java's chars of a UTF-8 text, big-endian.
base::Secret Utf16(absl::string_view utf8) {
  std::string chars;
  // So that no copy is left behind when the text grows.
  chars.reserve(2 * utf8.size());
  while (!utf8.empty()) {
    const size_t length = base::Utf8Length(utf8);
    uint32_t point = CodePoint(utf8, length);
    if (point >= 0x10000) {
      point -= 0x10000;
      const uint32_t high = 0xd800 + (point >> 10);
      chars += static_cast<char>(high >> 8);
      chars += static_cast<char>(high);
      point = 0xdc00 + (point & 0x3ff);
    }
    chars += static_cast<char>(point >> 8);
    chars += static_cast<char>(point);
    utf8.remove_prefix(length);
  }
  return base::Secret(std::move(chars));
}

// Empty on failure.
std::string Sha1(std::initializer_list<absl::string_view> parts) {
  OpensslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  bool ok = context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr) == 1;
  for (absl::string_view part : parts) {
    ok = ok && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  }
  std::string digest(kSha1Length, '\0');
  unsigned int length = 0;
  ok = ok && EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()),
                                &length) == 1;
  return ok && length == kSha1Length ? digest : "";
}

absl::StatusOr<base::Secret> Pkcs8(const PrivateKey& key) {
  OpensslPtr<PKCS8_PRIV_KEY_INFO> info(EVP_PKEY2PKCS8(key.get()));
  unsigned char* der = nullptr;
  int length = info == nullptr ? 0 : i2d_PKCS8_PRIV_KEY_INFO(info.get(), &der);
  if (length <= 0) return Failed();
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(length));
  OPENSSL_clear_free(der, static_cast<size_t>(length));
  return base::Secret(std::move(bytes));
}

// Salt, the key under a stream of SHA-1 sums that starts from the salt, and a checksum.
absl::StatusOr<std::string> Protect(absl::string_view plain, absl::string_view password) {
  std::string salt(kSha1Length, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(salt.data()), kSha1Length) != 1) {
    return Failed();
  }
  std::string protected_key = salt;
  std::string block = salt;
  absl::Cleanup wipe = [&] { base::Wipe(block); };
  for (size_t i = 0; i < plain.size(); ++i) {
    if (i % kSha1Length == 0) {
      block = Sha1({password, block});
      if (block.empty()) return Failed();
    }
    protected_key += static_cast<char>(plain[i] ^ block[i % kSha1Length]);
  }
  std::string checksum = Sha1({password, plain});
  if (checksum.empty()) return Failed();
  return protected_key + checksum;
}

// EncryptedPrivateKeyInfo (RFC 5208 §6), which is what OpenSSL calls X509_SIG.
absl::StatusOr<std::string> EncryptedKey(const PrivateKey& key, absl::string_view password) {
  CW_ASSIGN_OR_RETURN(base::Secret plain, Pkcs8(key));
  CW_ASSIGN_OR_RETURN(std::string protected_key, Protect(plain.Reveal(), password));
  OpensslPtr<X509_SIG> info(X509_SIG_new());
  OpensslPtr<ASN1_OBJECT> scheme(OBJ_txt2obj(kKeyProtector, /*no_name=*/1));
  if (info == nullptr || scheme == nullptr) return Failed();
  X509_ALGOR* algorithm = nullptr;
  ASN1_OCTET_STRING* content = nullptr;
  X509_SIG_getm(info.get(), &algorithm, &content);
  if (X509_ALGOR_set0(algorithm, scheme.get(), V_ASN1_NULL, nullptr) != 1) return Failed();
  scheme.release();
  unsigned char* der = nullptr;
  if (ASN1_OCTET_STRING_set(content,
                            reinterpret_cast<const unsigned char*>(protected_key.data()),
                            static_cast<int>(protected_key.size())) != 1) {
    return Failed();
  }
  int length = i2d_X509_SIG(info.get(), &der);
  if (length <= 0) return Failed();
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return bytes;
}

std::string EncodeCertificate(const Certificate& certificate) {
  return absl::StrCat(Text("X.509"), WithLength(certificate.der));
}

absl::StatusOr<std::string> EncodeStore(size_t count, absl::string_view entries,
                                        absl::string_view password) {
  std::string store = absl::StrCat(Uint32(kMagic), Uint32(kVersion), Uint32(count), entries);
  std::string digest = Sha1({password, kWhitener, store});
  if (digest.empty()) return Failed();
  return store + digest;
}

// As Java hashes it.
absl::StatusOr<base::Secret> JavaPassword(const base::Secret& password) {
  CW_RETURN_IF_ERROR(CheckKeystorePassword(password));
  if (password.empty()) {
    return absl::InvalidArgumentError("a JKS store needs a password; it is empty");
  }
  return Utf16(password.Reveal());
}

absl::Status CheckAlias(absl::string_view alias) {
  if (!alias.empty() && alias.size() <= kMaxAliasLength && IsPlain(alias)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "the JKS store's alias is not 1 to 255 printable ASCII characters");
}

}  // namespace

absl::StatusOr<base::Secret> MakeJks(const PrivateKey& key,
                                     const std::vector<Certificate>& chain,
                                     absl::string_view alias, const base::Secret& password) {
  OpensslErrorScope scope;
  CW_ASSIGN_OR_RETURN(base::Secret java_password, JavaPassword(password));
  CW_RETURN_IF_ERROR(CheckKeystoreChain(key, chain));
  CW_RETURN_IF_ERROR(CheckAlias(alias));
  CW_ASSIGN_OR_RETURN(std::string encrypted, EncryptedKey(key, java_password.Reveal()));
  std::string entry = absl::StrCat(Uint32(kKeyEntry), Text(absl::AsciiStrToLower(alias)),
                                   Milliseconds(chain.front().not_before),
                                   WithLength(encrypted), Uint32(chain.size()));
  for (const Certificate& certificate : chain) entry += EncodeCertificate(certificate);
  CW_ASSIGN_OR_RETURN(std::string store, EncodeStore(1, entry, java_password.Reveal()));
  return base::Secret(std::move(store));
}

absl::StatusOr<std::string> MakeJksTruststore(const std::vector<Certificate>& certificates,
                                              const base::Secret& password) {
  OpensslErrorScope scope;
  CW_ASSIGN_OR_RETURN(base::Secret java_password, JavaPassword(password));
  CW_RETURN_IF_ERROR(CheckTruststoreCertificates(certificates));
  std::string entries;
  for (size_t i = 0; i < certificates.size(); ++i) {
    absl::StrAppend(&entries, Uint32(kCertificateEntry), Text(TruststoreAlias(i)),
                    Milliseconds(certificates[i].not_before),
                    EncodeCertificate(certificates[i]));
  }
  return EncodeStore(certificates.size(), entries, java_password.Reveal());
}

}  // namespace certwright::pki
