#include "services/issuer/order_pace.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "lib/service/conditions.h"

namespace certwright::issuer_service {
namespace {

// Whoever waits is told to come back within this, since those before may give up.
constexpr absl::Duration kLongestWait = absl::Hours(1);
constexpr absl::Duration kShortestWait = absl::Milliseconds(10);

constexpr OrderLimit kDefaultLimit{300, absl::Hours(3)};
constexpr char kLetsEncrypt[] = "https://acme-v02.api.letsencrypt.org/";

absl::Duration PerOrder(const OrderLimit& limit) { return limit.window / limit.orders; }

}  // namespace

OrderLimit LimitOf(const issuer::v1::AcmeIssuer& issuer) {
  if (!issuer.has_rate_limits() && !absl::StartsWith(issuer.server(), kLetsEncrypt)) return {};
  OrderLimit limit = kDefaultLimit;
  const issuer::v1::RateLimits& given = issuer.rate_limits();
  if (given.orders() > 0) limit.orders = given.orders();
  if (given.has_orders_window()) limit.window = service::FromProto(given.orders_window());
  return limit;
}

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
  if (bucket.granted.contains(request)) {
    turn.now = true;
    return turn;
  }
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
    bucket.granted.insert(request);
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
  bucket->second.granted.erase(request);
  const auto known = bucket->second.needed_by.find(request);
  if (known == bucket->second.needed_by.end()) return;
  bucket->second.waiting.erase({known->second, request});
  bucket->second.needed_by.erase(known);
}

bool OrderPace::IsNew(const std::string& issuer) const {
  base::MutexLock lock(mutex_);
  return !buckets_.contains(issuer);
}

void OrderPace::Begin(const std::string& issuer, const OrderLimit& limit,
                      const std::vector<absl::Time>& placed, absl::Time now) {
  base::MutexLock lock(mutex_);
  if (limit.orders <= 0 || buckets_.contains(issuer)) return;
  Bucket& bucket = Find(issuer, limit, now);
  for (const absl::Time when : placed) {
    // What has been given back since is not missing any more.
    const double given_back = absl::FDivDuration(now - when, limit.window);
    bucket.tokens -= std::clamp(1 - given_back, 0.0, 1.0);
  }
  bucket.tokens = std::max(0.0, bucket.tokens);
}

}  // namespace certwright::issuer_service
