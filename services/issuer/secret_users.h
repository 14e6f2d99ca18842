// SecretUsers: which Certificates write to a Secret, or read a password from it, so that its
// change wakes them.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "certwright/issuer/v1/certificate.pb.h"
#include "lib/base/mutex.h"
#include "lib/store/resource_key.h"

namespace certwright::issuer_service {

class SecretUsers {
 public:
  // A Certificate changed from `before` to `now`; either may be null.
  void Replace(const issuer::v1::Certificate* before, const issuer::v1::Certificate* now) {
    base::MutexLock lock(mutex_);
    if (before != nullptr) {
      for (const std::string& secret : SecretKeys(*before)) {
        auto it = users_.find(secret);
        if (it == users_.end()) continue;
        it->second.erase(Key(*before));
        if (it->second.empty()) users_.erase(it);
      }
    }
    if (now == nullptr) return;
    for (const std::string& secret : SecretKeys(*now)) users_[secret].insert(Key(*now));
  }

  // Keys of the Certificates that use the Secret "<namespace>/<name>".
  std::vector<std::string> CertificatesOf(const std::string& secret_key) const {
    base::MutexLock lock(mutex_);
    auto it = users_.find(secret_key);
    if (it == users_.end()) return {};
    return {it->second.begin(), it->second.end()};
  }

 private:
  static std::string Key(const issuer::v1::Certificate& certificate) {
    return store::QueueKey(certificate.metadata().namespace_(), certificate.metadata().name());
  }
  static std::vector<std::string> SecretKeys(const issuer::v1::Certificate& certificate) {
    const issuer::v1::Keystores& keystores = certificate.spec().keystores();
    std::vector<std::string> keys;
    for (const std::string& name :
         {certificate.spec().secret_name(), keystores.pkcs12().password_secret_ref().name(),
          keystores.jks().password_secret_ref().name()}) {
      if (name.empty()) continue;
      keys.push_back(store::QueueKey(certificate.metadata().namespace_(), name));
    }
    return keys;
  }

  mutable base::Mutex mutex_;
  std::map<std::string, std::set<std::string>> users_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
