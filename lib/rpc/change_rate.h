// ChangeRate: how many calls that change something each caller may make: a token bucket for
// each identity (CallerRates). It is asked after Permissions::Check(), so that whoever is
// refused there costs no memory here.
//
// Threading: safe from any thread.
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "lib/base/clock.h"
#include "lib/rpc/access.h"
#include "lib/rpc/caller_rates.h"

namespace certwright::rpc {

struct ChangeRateOptions {
  // For long, and how many at once after a pause.
  int per_second = 5;
  int burst = 50;
  OwnRates own = {};
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
  CallerRates rates_;
};

}  // namespace certwright::rpc
