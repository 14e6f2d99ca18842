// CallerRates: how often each caller may do something: a token bucket for each identity, at the
// rate that is everybody's or at one of its own.
//
// Exempt are services, whose calls come from work that is bounded already, and callers that
// nobody has identified, which without TLS may do everything.
//
// Threading: safe from any thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/base/token_buckets.h"
#include "lib/rpc/access.h"

namespace certwright::rpc {

// For long, and how many at once after a pause. Both at least 1.
struct Rate {
  int per_second = 1;
  int burst = 1;
};

// By identity.
using OwnRates = std::map<std::string, Rate>;

class CallerRates {
 public:
  // `clock` must outlive this. No more than `max_identities` without a rate of their own are
  // remembered: the one that is nearest to a full bucket is forgotten first.
  CallerRates(const Rate& standard, const OwnRates& own, std::size_t max_identities,
              const base::Clock& clock);

  // As in TokenBuckets.
  absl::Duration Take(const Caller& caller);
  absl::Duration Owed(const Caller& caller);
  void Charge(const Caller& caller, int tokens);

  const Rate& RateOf(const Caller& caller);

 private:
  struct Own {
    Own(const Rate& rate, const base::TokenBucketOptions& options, const base::Clock& clock)
        : rate(rate), buckets(options, clock) {}
    const Rate rate;
    base::TokenBuckets buckets;
  };
  // Whose bucket it is, and where. Of several identities one with a rate of its own counts, or
  // else the first: those of the certificate come before tokens, so that no caller has more
  // than one bucket by showing more tokens.
  struct Place {
    const std::string* identity = nullptr;  // null: the caller is exempt
    base::TokenBuckets* buckets = nullptr;
    const Rate* rate = nullptr;
  };
  Place Find(const Caller& caller);

  const Rate standard_;
  base::TokenBuckets buckets_;
  std::map<std::string, Own> own_;
};

}  // namespace certwright::rpc
