#include "lib/pki/keystore.h"

#include <openssl/pkcs12.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"
#include "lib/pki/keystore_checks.h"
#include "lib/pki/openssl.h"

namespace certwright::pki {
namespace {

constexpr size_t kMaxFriendlyNameLength = 255;
// oracle-jdk-trustedkeyusage; Java takes for trusted only what has it.
constexpr char kTrustedKeyUsage[] = "2.16.840.1.113894.746875.1.1";

struct Protection {
  int cipher;  // NID of a cipher for PBES2, or of a scheme of PKCS#12 itself
  const EVP_MD* mac_digest;
  int iterations;
};

Protection ProtectionOf(Pkcs12Profile profile) {
  if (profile == Pkcs12Profile::kLegacy) {
    return {NID_pbe_WithSHA1And3_Key_TripleDES_CBC, EVP_sha1(), 2048};
  }
  return {NID_aes_256_cbc, EVP_sha256(), 10000};
}

struct Pkcs12Deleter {
  void operator()(PKCS12* p) const { PKCS12_free(p); }
  void operator()(STACK_OF(PKCS12_SAFEBAG) * p) const {
    sk_PKCS12_SAFEBAG_pop_free(p, PKCS12_SAFEBAG_free);
  }
  void operator()(STACK_OF(PKCS7) * p) const { sk_PKCS7_pop_free(p, PKCS7_free); }
  // The certificates stay their owners'.
  void operator()(STACK_OF(X509) * p) const { sk_X509_free(p); }
};

template <typename T>
using Pkcs12Ptr = std::unique_ptr<T, Pkcs12Deleter>;

absl::Status Failed() {
  return OpensslError(absl::StatusCode::kInternal, "cannot make a PKCS#12 store");
}

// The password of a Secret with the NUL behind it that OpenSSL wants; CheckKeystorePassword()
// has seen that there is none inside.
class PasswordText {
 public:
  explicit PasswordText(const base::Secret& password) : text_(password.Reveal()) {}
  ~PasswordText() { base::Wipe(text_); }
  PasswordText(const PasswordText&) = delete;
  PasswordText& operator=(const PasswordText&) = delete;
  const char* get() const { return text_.c_str(); }

 private:
  std::string text_;
};

absl::StatusOr<std::string> Encode(PKCS12* store) {
  unsigned char* der = nullptr;
  int length = i2d_PKCS12(store, &der);
  if (length <= 0) return Failed();
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(length));
  OPENSSL_clear_free(der, static_cast<size_t>(length));
  return bytes;
}

absl::Status CheckFriendlyName(absl::string_view name) {
  if (name.size() <= kMaxFriendlyNameLength && base::IsUtf8(name) &&
      !absl::StrContains(name, '\0')) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "the key store's friendly name is over 255 octets, not UTF-8, or holds a NUL");
}

bool AddTrustedCertificate(STACK_OF(PKCS12_SAFEBAG) * *bags, X509* certificate,
                           const std::string& name) {
  OpensslPtr<ASN1_OBJECT> any_usage(OBJ_nid2obj(NID_anyExtendedKeyUsage));
  // The bag is the stack's.
  PKCS12_SAFEBAG* bag = PKCS12_add_cert(bags, certificate);
  // A length of -1 says that the value is an object and not its text.
  return bag != nullptr && any_usage != nullptr &&
         PKCS12_add_friendlyname_utf8(bag, name.data(), static_cast<int>(name.size())) == 1 &&
         PKCS12_add1_attr_by_txt(bag, kTrustedKeyUsage, V_ASN1_OBJECT,
                                 reinterpret_cast<const unsigned char*>(any_usage.get()),
                                 -1) == 1;
}

}  // namespace

absl::StatusOr<base::Secret> MakePkcs12(const PrivateKey& key,
                                        const std::vector<Certificate>& chain,
                                        absl::string_view friendly_name,
                                        const base::Secret& password, Pkcs12Profile profile) {
  OpensslErrorScope scope;
  CW_RETURN_IF_ERROR(CheckKeystorePassword(password));
  CW_RETURN_IF_ERROR(CheckKeystoreChain(key, chain));
  CW_RETURN_IF_ERROR(CheckFriendlyName(friendly_name));
  PasswordText text(password);
  const std::string name(friendly_name);
  const Protection protection = ProtectionOf(profile);
  Pkcs12Ptr<STACK_OF(X509)> others(sk_X509_new_null());
  bool ready = others != nullptr;
  for (size_t i = 1; ready && i < chain.size(); ++i) {
    ready = sk_X509_push(others.get(), chain[i].x509.get()) > 0;
  }
  if (!ready) return Failed();
  // The MAC comes after, for the digest cannot be chosen here.
  constexpr int kNoMac = -1;
  Pkcs12Ptr<PKCS12> store(PKCS12_create(
      text.get(), name.empty() ? nullptr : name.c_str(), key.get(), chain.front().x509.get(),
      others.get(), protection.cipher, protection.cipher, protection.iterations, kNoMac, 0));
  if (store == nullptr || PKCS12_set_mac(store.get(), text.get(), -1, nullptr, 0,
                                         protection.iterations, protection.mac_digest) != 1) {
    return Failed();
  }
  CW_ASSIGN_OR_RETURN(std::string der, Encode(store.get()));
  return base::Secret(std::move(der));
}

absl::StatusOr<std::string> MakePkcs12Truststore(const std::vector<Certificate>& certificates,
                                                 const base::Secret& password,
                                                 Pkcs12Profile profile) {
  OpensslErrorScope scope;
  CW_RETURN_IF_ERROR(CheckKeystorePassword(password));
  CW_RETURN_IF_ERROR(CheckTruststoreCertificates(certificates));
  PasswordText text(password);
  const Protection protection = ProtectionOf(profile);
  STACK_OF(PKCS12_SAFEBAG)* raw_bags = nullptr;
  bool ready = true;
  for (size_t i = 0; ready && i < certificates.size(); ++i) {
    ready = AddTrustedCertificate(&raw_bags, certificates[i].x509.get(), TruststoreAlias(i));
  }
  Pkcs12Ptr<STACK_OF(PKCS12_SAFEBAG)> bags(raw_bags);
  STACK_OF(PKCS7)* raw_safes = nullptr;
  ready = ready && PKCS12_add_safe(&raw_safes, bags.get(), protection.cipher,
                                   protection.iterations, text.get()) == 1;
  Pkcs12Ptr<STACK_OF(PKCS7)> safes(raw_safes);
  Pkcs12Ptr<PKCS12> store(ready ? PKCS12_add_safes(safes.get(), /*p7_nid=*/0) : nullptr);
  if (store == nullptr || PKCS12_set_mac(store.get(), text.get(), -1, nullptr, 0,
                                         protection.iterations, protection.mac_digest) != 1) {
    return Failed();
  }
  return Encode(store.get());
}

}  // namespace certwright::pki
