// CleanUpFailures: which proofs are still out there as they could not be removed, and why. The
// gauge certwright_solver_presentations_left_behind counts them. In memory: after a restart one
// is among them once it was tried again.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "lib/base/mutex.h"
#include "lib/telemetry/metrics.h"

namespace certwright::solver {

class CleanUpFailures {
 public:
  // `metrics` must outlive this.
  explicit CleanUpFailures(telemetry::Metrics& metrics)
      : left_behind_(metrics.GetGauge(
            "certwright_solver_presentations_left_behind",
            "Proofs that are still out, as removing them has failed; it is tried again.")) {}

  // The proof of the ledger record was removed, or could not be.
  void Note(const std::string& record_key, const absl::Status& removed) {
    base::MutexLock lock(mutex_);
    if (removed.ok()) {
      errors_.erase(record_key);
    } else {
      errors_[record_key] = std::string(removed.message());
    }
    left_behind_.Set(static_cast<double>(errors_.size()));
  }
  // Empty if nothing is known to have failed.
  std::string ErrorOf(const std::string& record_key) const {
    base::MutexLock lock(mutex_);
    const auto it = errors_.find(record_key);
    return it == errors_.end() ? "" : it->second;
  }

 private:
  telemetry::Gauge& left_behind_;
  mutable base::Mutex mutex_;
  // By the key of the ledger record.
  std::map<std::string, std::string> errors_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::solver
