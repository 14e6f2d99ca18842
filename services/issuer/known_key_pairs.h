// KnownKeyPairs: what the key pairs in Secrets are, read anew only when a Secret has changed.
//
// Threading: safe from any thread.
#pragma once

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

  Facts FactsOf(const issuer::v1::Secret& secret) {
    {
      base::MutexLock lock(mutex_);
      const auto it = known_.find(secret.metadata().uid());
      if (it != known_.end() &&
          it->second.resource_version == secret.metadata().resource_version()) {
        return it->second.facts;
      }
    }
    auto facts = std::make_shared<const KeyPairFacts>(ReadKeyPair(secret));
    Remember(secret, facts);
    return facts;
  }

  // The facts of a Secret that was just written.
  void Remember(const issuer::v1::Secret& secret, Facts facts) {
    base::MutexLock lock(mutex_);
    if (known_.size() >= kMaxKnown) known_.clear();
    known_[secret.metadata().uid()] = {secret.metadata().resource_version(), std::move(facts)};
  }

 private:
  static constexpr std::size_t kMaxKnown = 100'000;

  struct Known {
    std::string resource_version;
    Facts facts;
  };
  base::Mutex mutex_;
  // By the Secret's uid. Forgotten as a whole when it has grown too large.
  std::map<std::string, Known> known_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
