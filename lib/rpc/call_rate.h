// CallRate: how many calls each caller may make, of whatever kind: a token bucket for each
// identity (CallerRates), of which a call takes one token, and its answer one more for each 16
// KiB. What an answer takes is known when it is made, so a bucket may owe tokens.
//
// Threading: safe from any thread.
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "lib/base/clock.h"
#include "lib/rpc/access.h"
#include "lib/rpc/caller_rates.h"

namespace certwright::rpc {

struct CallRateOptions {
  // For long, and how many at once after a pause.
  int per_second = 50;
  int burst = 200;
  OwnRates own = {};
};

class CallRate {
 public:
  // `clock` must outlive this.
  CallRate(const CallRateOptions& options, const base::Clock& clock);

  // RESOURCE_EXHAUSTED with RetryInfo if the caller has used its calls up.
  absl::Status Admit(const Caller& caller);
  // The same if the caller owes for answers, without counting a call: for one that was admitted
  // and is about to begin after a wait.
  absl::Status CheckOwed(const Caller& caller);
  // How long it takes until the caller owes nothing.
  absl::Duration Owed(const Caller& caller);
  // The caller's call has an answer, or events, of that many bytes. Returns how many of them
  // are too few for a token and were not counted.
  std::size_t Charge(const Caller& caller, std::size_t bytes);

 private:
  absl::Status ToStatus(const Caller& caller, absl::Duration wait);

  CallerRates rates_;
};

}  // namespace certwright::rpc
