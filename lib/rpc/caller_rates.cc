#include "lib/rpc/caller_rates.h"

namespace certwright::rpc {
namespace {

base::TokenBucketOptions ToBuckets(const Rate& rate, std::size_t max_identities) {
  return {.per_second = rate.per_second, .burst = rate.burst, .max_buckets = max_identities};
}

}  // namespace

CallerRates::CallerRates(const Rate& standard, const OwnRates& own, std::size_t max_identities,
                         const base::Clock& clock)
    : standard_(standard), buckets_(ToBuckets(standard, max_identities), clock) {
  for (const auto& [identity, rate] : own) {
    own_.try_emplace(identity, rate, ToBuckets(rate, 1), clock);
  }
}

CallerRates::Place CallerRates::Find(const Caller& caller) {
  if (!caller.services.empty() || caller.identities.empty()) return {};
  for (const std::string& identity : caller.identities) {
    const auto own = own_.find(identity);
    if (own != own_.end()) return {&own->first, &own->second.buckets, &own->second.rate};
  }
  return {&caller.identities.front(), &buckets_, &standard_};
}

absl::Duration CallerRates::Take(const Caller& caller) {
  const Place place = Find(caller);
  return place.identity == nullptr ? absl::ZeroDuration()
                                   : place.buckets->Take(*place.identity);
}

absl::Duration CallerRates::Owed(const Caller& caller) {
  const Place place = Find(caller);
  return place.identity == nullptr ? absl::ZeroDuration()
                                   : place.buckets->Owed(*place.identity);
}

void CallerRates::Charge(const Caller& caller, int tokens) {
  const Place place = Find(caller);
  if (place.identity != nullptr) place.buckets->Charge(*place.identity, tokens);
}

const Rate& CallerRates::RateOf(const Caller& caller) {
  const Place place = Find(caller);
  return place.rate == nullptr ? standard_ : *place.rate;
}

}  // namespace certwright::rpc
