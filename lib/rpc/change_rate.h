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

#include "absl/status/status.h"
#include "lib/base/clock.h"
#include "lib/base/token_buckets.h"
#include "lib/rpc/access.h"

namespace certwright::rpc {

struct ChangeRateOptions {
  // For long, and how many at once after a pause.
  int per_second = 20;
  int burst = 100;
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
  const ChangeRateOptions options_;
  base::TokenBuckets buckets_;
};

}  // namespace certwright::rpc
