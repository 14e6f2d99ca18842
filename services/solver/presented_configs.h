// PresentedConfigs: the configuration with which each proof that is out was put there, so that
// it can be removed when its issuer or solver has been changed or deleted meanwhile. In memory
// only, with the credentials, and wiped when the proof has been removed: a restart forgets it.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "lib/base/mutex.h"
#include "services/solver/solver_configs.h"

namespace certwright::solver {

class PresentedConfigs {
 public:
  // `record_key` is the ledger record's. The last one kept for it counts.
  void Keep(const std::string& record_key, std::shared_ptr<const SolverConfig> config) {
    base::MutexLock lock(mutex_);
    configs_[record_key] = std::move(config);
  }
  // Null if there is none.
  std::shared_ptr<const SolverConfig> Find(const std::string& record_key) const {
    base::MutexLock lock(mutex_);
    const auto it = configs_.find(record_key);
    return it == configs_.end() ? nullptr : it->second;
  }
  void Forget(const std::string& record_key) {
    base::MutexLock lock(mutex_);
    configs_.erase(record_key);
  }

 private:
  mutable base::Mutex mutex_;
  std::map<std::string, std::shared_ptr<const SolverConfig>> configs_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::solver
