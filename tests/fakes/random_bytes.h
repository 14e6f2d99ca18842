// Random octets, from OpenSSL.
#pragma once

#include <openssl/rand.h>

#include <cstdlib>
#include <string>

namespace certwright::fakes {

inline std::string RandomBytes(int size) {
  std::string bytes(static_cast<std::size_t>(size), '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), size) != 1) std::abort();
  return bytes;
}

}  // namespace certwright::fakes
