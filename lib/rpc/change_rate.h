// ChangeRate: how many calls that change something each caller may make: a token bucket for
// each identity. It is asked after Permissions::Check(), so that whoever is refused there costs
// no memory here.
//
// Exempt are services, whose calls come from work that is bounded already, and callers that
// nobody has identified, which without TLS may do everything.
//
// Threading: safe from any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/rpc/access.h"

namespace certwright::rpc {

struct ChangeRateOptions {
  // For long, and how many at once after a pause.
  int per_second = 50;
  int burst = 500;
  // Identities that are remembered. Beyond that the one that is nearest to a full bucket is
  // forgotten.
  std::size_t max_identities = 10'000;
};

class ChangeRate {
 public:
  // `clock` must outlive this.
  ChangeRate(const ChangeRateOptions& options, const base::Clock& clock);

  // RESOURCE_EXHAUSTED with RetryInfo if the caller has used its changes up. Methods that
  // change nothing are not counted.
  absl::Status Admit(const Caller& caller, const Permissions::Method& method);

 private:
  void MakeRoom(base::MonotonicTime now) CW_REQUIRES(mutex_);

  const ChangeRateOptions options_;
  const absl::Duration cost_;  // the time in which one change comes back
  const base::Clock& clock_;
  base::Mutex mutex_;
  // When each bucket is full again. One that is full is as good as none.
  std::map<std::string, base::MonotonicTime, std::less<>> full_at_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::rpc
