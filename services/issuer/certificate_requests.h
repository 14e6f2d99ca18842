// CertificateRequests: which CertificateRequests each Certificate owns, as last seen.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "certwright/issuer/v1/certificate_request.pb.h"
#include "lib/base/mutex.h"
#include "lib/store/resource_key.h"

namespace certwright::issuer_service {

class CertificateRequests {
 public:
  using Shared = std::shared_ptr<const issuer::v1::CertificateRequest>;

  // A request changed from `before` to `now`; either may be null.
  void Replace(const Shared& before, const Shared& now) {
    base::MutexLock lock(mutex_);
    if (before != nullptr) {
      auto it = requests_.find(OwnerKey(*before));
      if (it != requests_.end()) {
        it->second.erase(before->metadata().name());
        if (it->second.empty()) requests_.erase(it);
      }
    }
    if (now != nullptr && now->metadata().owner().kind() == "Certificate") {
      requests_[OwnerKey(*now)][now->metadata().name()] = now;
    }
  }

  // Those of the Certificate "<namespace>/<name>".
  std::vector<Shared> Of(const std::string& certificate_key) const {
    std::vector<Shared> found;
    base::MutexLock lock(mutex_);
    auto it = requests_.find(certificate_key);
    if (it == requests_.end()) return found;
    for (const auto& [name, request] : it->second) found.push_back(request);
    return found;
  }

 private:
  static std::string OwnerKey(const issuer::v1::CertificateRequest& request) {
    return store::QueueKey(request.metadata().namespace_(), request.metadata().owner().name());
  }

  mutable base::Mutex mutex_;
  std::map<std::string, std::map<std::string, Shared>> requests_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
