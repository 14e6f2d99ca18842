#include "lib/pki/keystore_checks.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/utf8.h"

namespace certwright::pki {

absl::Status CheckKeystorePassword(const base::Secret& password) {
  constexpr size_t kMaxPasswordLength = 1024;
  absl::string_view text = password.Reveal();
  if (text.size() > kMaxPasswordLength || !base::IsUtf8(text) ||
      absl::StrContains(text, '\0')) {
    return absl::InvalidArgumentError(
        "the key store's password is over 1024 octets, not UTF-8, or holds a NUL");
  }
  return absl::OkStatus();
}

absl::Status CheckKeystoreChain(const PrivateKey& key, const std::vector<Certificate>& chain) {
  if (chain.empty()) {
    return absl::InvalidArgumentError("a key store needs the key's certificate");
  }
  if (!(chain.front().public_key == key.public_key())) {
    return absl::InvalidArgumentError(
        "the first certificate for the key store is for another key");
  }
  return absl::OkStatus();
}

absl::Status CheckTruststoreCertificates(const std::vector<Certificate>& certificates) {
  if (!certificates.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("a trust store needs at least one certificate");
}

std::string TruststoreAlias(size_t index) { return absl::StrCat("ca-", index + 1); }

}  // namespace certwright::pki
