#include "lib/base/secret.h"

#include <openssl/crypto.h>

namespace certwright::base {

void Wipe(std::string& bytes) {
  // The capacity, not the size: a string that shrank still holds the old bytes.
  bytes.resize(bytes.capacity());
  OPENSSL_cleanse(bytes.data(), bytes.size());
  bytes.clear();
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    Wipe(bytes_);
    bytes_ = std::move(other.bytes_);
    Wipe(other.bytes_);
  }
  return *this;
}

}  // namespace certwright::base
