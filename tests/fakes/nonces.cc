#include "tests/fakes/nonces.h"

#include <cstring>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/base64.h"
#include "tests/fakes/random_bytes.h"

namespace certwright::fakes {
namespace {

constexpr uint64_t kRemembered = 1 << 17;

}  // namespace

Nonces::Nonces() : prefix_(RandomBytes(8)), spent_(kRemembered) {}

std::string Nonces::Make() {
  uint64_t number = 0;
  {
    base::MutexLock lock(mutex_);
    number = ++last_;
    spent_[number % kRemembered] = false;
  }
  return base::Base64UrlEncode(
      absl::StrCat(prefix_, absl::string_view(reinterpret_cast<char*>(&number), 8)));
}

bool Nonces::Spend(absl::string_view nonce) {
  const std::optional<std::string> bytes = base::Base64UrlDecode(nonce);
  if (!bytes.has_value() || bytes->size() != 16 || !absl::StartsWith(*bytes, prefix_)) {
    return false;
  }
  uint64_t number = 0;
  std::memcpy(&number, bytes->data() + 8, 8);
  base::MutexLock lock(mutex_);
  if (number == 0 || number > last_ || number + kRemembered <= last_) return false;
  if (spent_[number % kRemembered]) {
    ++reused_;
    return false;
  }
  spent_[number % kRemembered] = true;
  return true;
}

int Nonces::reused() const {
  base::MutexLock lock(mutex_);
  return reused_;
}

}  // namespace certwright::fakes
