#include "lib/service/derived_name.h"

#include <openssl/evp.h>

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace certwright::service {
namespace {

constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kHashDigits = 10;

std::string Sha256Hex(const std::vector<std::string>& parts) {
  // Lengths keep {"ab", "c"} apart from {"a", "bc"}.
  std::string input;
  for (const std::string& part : parts) absl::StrAppend(&input, part.size(), ":", part);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(input.data(), input.size(), digest, &size, EVP_sha256(), nullptr) != 1) {
    std::abort();
  }
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

}  // namespace

std::string DerivedName(absl::string_view owner, const std::vector<std::string>& parts) {
  absl::string_view base = owner.substr(0, kMaxLabel - 1 - kHashDigits);
  while (absl::ConsumeSuffix(&base, "-")) {
  }
  return absl::StrCat(base, "-", Sha256Hex(parts).substr(0, kHashDigits));
}

std::string SuffixedName(absl::string_view owner, absl::string_view suffix) {
  if (owner.size() + 1 + suffix.size() <= kMaxLabel) return absl::StrCat(owner, "-", suffix);
  return DerivedName(owner, {std::string(owner), std::string(suffix)});
}

}  // namespace certwright::service
