// FreshKeys: the private keys that this process has made and whose certificates are still on
// their way, so that they need not be decoded again: OpenSSL 3.0 takes most of a millisecond
// for that. The store has them all; what is lost here in a restart costs only time.
//
// Threading: safe from any thread.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "certwright/meta/v1/meta.pb.h"
#include "lib/base/mutex.h"
#include "lib/pki/key.h"

namespace certwright::issuer_service {

class FreshKeys {
 public:
  // `secret`, as committed, holds the key until its certificate is there. All are forgotten
  // when they have become too many.
  void Keep(const meta::v1::ObjectMeta& secret, pki::PrivateKey key) {
    base::MutexLock lock(mutex_);
    if (keys_.size() >= kMost) keys_.clear();
    keys_.insert_or_assign(Version(secret), std::move(key));
  }

  // Forgets the key as well. Nothing if it is not known, or the Secret has changed since.
  std::optional<pki::PrivateKey> Take(const meta::v1::ObjectMeta& secret) {
    base::MutexLock lock(mutex_);
    const auto it = keys_.find(Version(secret));
    if (it == keys_.end()) return std::nullopt;
    std::optional<pki::PrivateKey> key = std::move(it->second);
    keys_.erase(it);
    return key;
  }

 private:
  static constexpr std::size_t kMost = 10'000;

  static std::string Version(const meta::v1::ObjectMeta& secret) {
    return absl::StrCat(secret.uid(), "/", secret.resource_version());
  }

  base::Mutex mutex_;
  std::unordered_map<std::string, pki::PrivateKey> keys_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
