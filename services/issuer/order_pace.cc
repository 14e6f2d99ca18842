#include "services/issuer/order_pace.h"

#include <algorithm>

namespace certwright::issuer_service {
namespace {

// Whoever waits is told to come back within this, since those before may give up.
constexpr absl::Duration kLongestWait = absl::Hours(1);
constexpr absl::Duration kShortestWait = absl::Milliseconds(10);

absl::Duration PerOrder(const OrderLimit& limit) { return limit.window / limit.orders; }

}  // namespace

OrderPace::Bucket& OrderPace::Find(const std::string& issuer, const OrderLimit& limit,
                                   absl::Time now) {
  Bucket& bucket = buckets_[issuer];
  if (!(bucket.limit == limit)) {
    bucket.limit = limit;
    bucket.tokens = static_cast<double>(limit.orders);
    bucket.filled_at = now;
  }
  const absl::Duration passed = now - bucket.filled_at;
  if (passed > absl::ZeroDuration()) {
    bucket.tokens = std::min(static_cast<double>(limit.orders),
                             bucket.tokens + absl::FDivDuration(passed, PerOrder(limit)));
    bucket.filled_at = now;
  }
  return bucket;
}

OrderPace::Turn OrderPace::Ask(const std::string& issuer, const OrderLimit& limit,
                               const std::string& request, absl::Time needed_by,
                               absl::Time now) {
  Turn turn;
  base::MutexLock lock(mutex_);
  if (limit.orders <= 0) {
    turn.now = true;
    return turn;
  }
  Bucket& bucket = Find(issuer, limit, now);
  auto known = bucket.needed_by.find(request);
  if (known != bucket.needed_by.end() && known->second != needed_by) {
    bucket.waiting.erase({known->second, request});
  }
  bucket.needed_by[request] = needed_by;
  const Place place{needed_by, request};
  bucket.waiting.insert(place);
  turn.before = static_cast<int64_t>(bucket.waiting.order_of_key(place));
  const double missing = static_cast<double>(turn.before + 1) - bucket.tokens;
  if (missing <= 0) {
    bucket.tokens -= 1;
    bucket.waiting.erase(place);
    bucket.needed_by.erase(request);
    turn.now = true;
    return turn;
  }
  turn.again = now + std::clamp(PerOrder(limit) * missing, kShortestWait, kLongestWait);
  return turn;
}

void OrderPace::Forget(const std::string& issuer, const std::string& request) {
  base::MutexLock lock(mutex_);
  const auto bucket = buckets_.find(issuer);
  if (bucket == buckets_.end()) return;
  const auto known = bucket->second.needed_by.find(request);
  if (known == bucket->second.needed_by.end()) return;
  bucket->second.waiting.erase({known->second, request});
  bucket->second.needed_by.erase(known);
}

void OrderPace::CountPlaced(const std::string& issuer, const OrderLimit& limit, absl::Time when,
                            absl::Time now) {
  if (limit.orders <= 0) return;
  base::MutexLock lock(mutex_);
  Bucket& bucket = Find(issuer, limit, now);
  // What has been given back since is not missing any more.
  const double given_back = absl::FDivDuration(now - when, limit.window);
  bucket.tokens = std::max(0.0, bucket.tokens - std::clamp(1 - given_back, 0.0, 1.0));
}

}  // namespace certwright::issuer_service
