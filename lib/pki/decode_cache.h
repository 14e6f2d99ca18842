// DecodeCache: remembers what DER bytes decoded to lately. OpenSSL 3.0 takes a tenth of a
// millisecond and more for each public key it decodes, and the same intermediate certificates
// and requests come again and again.
//
// Only for public data: keys of the cache are the bytes themselves. Threading: safe from any
// thread; two threads may decode the same bytes at once.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/base/mutex.h"

namespace certwright::pki {

template <typename T>
class DecodeCache {
 public:
  // Keeps between `generation` and twice as many values.
  explicit DecodeCache(std::size_t generation) : generation_(generation) {}

  // What `decode(der)` returns, or returned lately. Errors are not kept.
  template <typename Decode>
  absl::StatusOr<T> Get(std::string der, Decode decode) {
    {
      base::MutexLock lock(mutex_);
      if (auto it = young_.find(der); it != young_.end()) return it->second;
      if (auto it = old_.find(der); it != old_.end()) {
        T value = it->second;
        Insert(std::move(der), value);
        return value;
      }
    }
    absl::StatusOr<T> value = decode(der);
    if (value.ok()) {
      base::MutexLock lock(mutex_);
      Insert(std::move(der), *value);
    }
    return value;
  }

 private:
  using Values = std::unordered_map<std::string, T>;

  void Insert(std::string der, const T& value) CW_REQUIRES(mutex_) {
    if (young_.size() >= generation_) {
      old_ = std::move(young_);
      young_ = Values();
    }
    young_.emplace(std::move(der), value);
  }

  const std::size_t generation_;
  base::Mutex mutex_;
  Values young_ CW_GUARDED_BY(mutex_);
  // Each value that is asked for again moves to the young; the rest goes with the next change.
  Values old_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::pki
