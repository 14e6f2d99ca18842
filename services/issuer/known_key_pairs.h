// KnownKeyPairs: what the key pairs in Secrets are, read anew only when a Secret has changed.
//
// Threading: safe from any thread.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "lib/base/mutex.h"
#include "services/issuer/certificate_decision.h"

namespace certwright::issuer_service {

class KnownKeyPairs {
 public:
  using Facts = std::shared_ptr<const KeyPairFacts>;

  // `most` are kept: those that were written or changed last.
  explicit KnownKeyPairs(std::size_t most = 100'000) : most_(most) {}

  Facts FactsOf(const issuer::v1::Secret& secret) {
    if (Facts known = Find(secret)) return known;
    auto facts = std::make_shared<const KeyPairFacts>(ReadKeyPair(secret));
    Remember(secret, facts);
    return facts;
  }

  // What is known of the Secret as it is; null if nothing is.
  Facts Find(const issuer::v1::Secret& secret) {
    base::MutexLock lock(mutex_);
    const auto it = known_.find(secret.metadata().uid());
    const bool current = it != known_.end() &&
                         it->second.resource_version == secret.metadata().resource_version();
    return current ? it->second.facts : nullptr;
  }

  // The facts of a Secret that was just written.
  void Remember(const issuer::v1::Secret& secret, Facts facts) {
    const std::string& uid = secret.metadata().uid();
    base::MutexLock lock(mutex_);
    const auto it = known_.find(uid);
    if (it != known_.end()) {
      by_age_.erase(it->second.place);
    } else if (known_.size() >= most_) {
      known_.erase(by_age_.front());
      by_age_.pop_front();
    }
    const auto place = by_age_.insert(by_age_.end(), uid);
    known_[uid] = {secret.metadata().resource_version(), std::move(facts), place};
  }

 private:
  struct Known {
    std::string resource_version;
    Facts facts;
    std::list<std::string>::iterator place;
  };

  const std::size_t most_;
  base::Mutex mutex_;
  // By the Secret's uid.
  std::map<std::string, Known> known_ CW_GUARDED_BY(mutex_);
  // Uids, the longest known first.
  std::list<std::string> by_age_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
