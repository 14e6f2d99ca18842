// AES-256-GCM (NIST SP 800-38D) with nonces of 96 bits and tags of 128.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "lib/base/secret.h"

namespace certwright::pki {

inline constexpr std::size_t kAesKeyBytes = 32;
inline constexpr std::size_t kAesGcmNonceBytes = 12;
inline constexpr std::size_t kAesGcmTagBytes = 16;

// The nonce, which is random, then the ciphertext and the tag. One key may seal up to 2^32
// times. `key` has kAesKeyBytes. `associated` is authenticated, not stored.
std::string AesGcmSeal(const base::Secret& key, absl::string_view associated,
                       absl::string_view plain);

// What was sealed; nothing if the key, `associated` or a single bit differs.
std::optional<base::Secret> AesGcmOpen(const base::Secret& key, absl::string_view associated,
                                       absl::string_view sealed);

// Fresh from OpenSSL's generator for secrets.
base::Secret NewAesKey();

// HMAC-SHA256 of `label` under `key`: 32 octets for one purpose each.
base::Secret DeriveKey(const base::Secret& key, absl::string_view label);

}  // namespace certwright::pki
