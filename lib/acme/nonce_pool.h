// NoncePool: anti-replay nonces that a CA handed out and nobody has spent yet
// (RFC 8555 §6.5).
//
// The newest is used first, old ones are dropped: CAs forget nonces by age and
// by number. Threading: safe from any thread; a nonce is handed out once.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"

namespace certwright::acme {

class NoncePool {
 public:
  static constexpr std::size_t kDefaultCapacity = 64;
  static constexpr absl::Duration kMaxAge = absl::Hours(1);

  explicit NoncePool(const base::Clock& clock, std::size_t capacity = kDefaultCapacity)
      : clock_(clock), capacity_(capacity) {}

  // 1 to 512 characters of base64url.
  static bool IsValid(absl::string_view nonce);

  // Drops the oldest when full. An invalid nonce is ignored.
  void Put(std::string nonce);
  std::optional<std::string> Take();

  // Reports what became of a nonce that Take() gave. Two rejections without an
  // acceptance between them empty the pool: the CA has forgotten its nonces, as
  // after a restart.
  void Accepted();
  void Rejected();
  void Flush();

  std::size_t size() const;

 private:
  struct Entry {
    std::string nonce;
    base::MonotonicTime added;
  };

  const base::Clock& clock_;
  const std::size_t capacity_;
  mutable base::Mutex mutex_;
  std::deque<Entry> entries_ CW_GUARDED_BY(mutex_);  // newest last
  int rejections_ CW_GUARDED_BY(mutex_) = 0;
};

}  // namespace certwright::acme
