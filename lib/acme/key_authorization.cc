#include "lib/acme/key_authorization.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/base64.h"
#include "openssl/sha.h"

namespace certwright::acme {
namespace {

constexpr std::size_t kMinTokenBytes = 22;
constexpr std::size_t kMaxTokenBytes = 512;

}  // namespace

bool IsValidToken(absl::string_view token) {
  return token.size() >= kMinTokenBytes && token.size() <= kMaxTokenBytes &&
         std::all_of(token.begin(), token.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
         });
}

std::string KeyAuthorization(absl::string_view token, absl::string_view thumbprint) {
  return absl::StrCat(token, ".", thumbprint);
}

std::string Dns01Digest(absl::string_view key_authorization) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(key_authorization.data()),
         key_authorization.size(), digest.data());
  return base::Base64UrlEncode(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

}  // namespace certwright::acme
