// OrderPace: when each request may be made an order at its CA, so that the CA's limit on new
// orders is not reached: a bucket of tokens per issuer, those whose certificates end first
// going first.
//
// All of it can be lost in a restart: Begin() fills it again from the orders there are.
// Threading: safe from any thread.
#pragma once

#include <cstdint>
#include <ext/pb_ds/assoc_container.hpp>
#include <ext/pb_ds/tree_policy.hpp>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "lib/base/mutex.h"

namespace certwright::issuer_service {

struct OrderLimit {
  // Orders that may be placed in `window`, over which they are also given back. 0: no limit.
  int64_t orders = 0;
  absl::Duration window;

  friend bool operator==(const OrderLimit&, const OrderLimit&) = default;
};

// spec.rate_limits; without them none, but for Let's Encrypt's production servers those that it
// publishes: 300 orders in 3 hours.
OrderLimit LimitOf(const issuer::v1::AcmeIssuer& issuer);

class OrderPace {
 public:
  struct Turn {
    // Whether the order may be placed now. A token has been taken for it then.
    bool now = false;
    // Else when to ask again, and how many go before.
    absl::Time again;
    int64_t before = 0;
  };

  // A request asks for its turn; `needed_by` decides who goes first. It is remembered as
  // waiting until its turn comes or Forget() is called.
  Turn Ask(const std::string& issuer, const OrderLimit& limit, const std::string& request,
           absl::Time needed_by, absl::Time now);
  // The request does not wait any more: it became an order, or was given up. Until then one
  // whose turn came keeps it, so that a failure to place the order costs no second token.
  void Forget(const std::string& issuer, const std::string& request);
  // Whether Begin() has still to be called for the issuer.
  bool IsNew(const std::string& issuer) const;
  // Counts the orders that were placed before this process began, once for each issuer.
  void Begin(const std::string& issuer, const OrderLimit& limit,
             const std::vector<absl::Time>& placed, absl::Time now);

 private:
  using Place = std::pair<absl::Time, std::string>;
  // A set that can count those before a place without walking over them.
  using Queue =
      __gnu_pbds::tree<Place, __gnu_pbds::null_type, std::less<>, __gnu_pbds::rb_tree_tag,
                       __gnu_pbds::tree_order_statistics_node_update>;

  struct Bucket {
    OrderLimit limit;
    double tokens = 0;
    absl::Time filled_at;
    Queue waiting;
    std::map<std::string, absl::Time> needed_by;
    // Those that had their turn and have not become orders yet.
    std::set<std::string> granted;
  };

  Bucket& Find(const std::string& issuer, const OrderLimit& limit, absl::Time now)
      CW_REQUIRES(mutex_);

  mutable base::Mutex mutex_;
  std::map<std::string, Bucket> buckets_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
