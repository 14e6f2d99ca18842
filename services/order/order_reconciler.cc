#include "services/order/order_reconciler.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/store/resource_key.h"
#include "services/order/order_decision.h"

namespace certwright::order {
namespace {

// Reading what is stored takes about as long.
constexpr absl::Duration kUntilClaimsAreRead = absl::Milliseconds(20);

}  // namespace

runtime::Awaitable<absl::StatusOr<controller::Result>> OrderReconciler::Reconcile(
    runtime::Context context, std::string key) {
  CW_CO_ASSIGN_OR_RETURN(const store::ResourceName name, store::ParseQueueKey(key));
  Claims claims = Claims::kUnknown;
  if (claims_.compare_exchange_strong(claims, Claims::kBeingRead)) {
    const absl::Status read = co_await ReadClaims(context);
    // A damaged record is said of its own Order, and stops no other.
    const bool known = read.ok() || absl::IsDataLoss(read);
    claims_ = known ? Claims::kKnown : Claims::kUnknown;
    if (!known) co_return read;
  } else if (claims == Claims::kBeingRead) {
    controller::Result later;
    later.requeue_after = kUntilClaimsAreRead;
    co_return later;
  }
  absl::StatusOr<v1::Order> order =
      co_await environment_.orders.Get(context, name.resource_namespace, name.name);
  if (absl::IsNotFound(order.status())) {
    memory_.Forget(key);
    co_return controller::Result();
  }
  if (!order.ok()) co_return order.status();
  OrderPass pass(environment_, memory_, std::move(context), *std::move(order));
  co_return co_await pass.Run();
}

// Before the first pass: it could be that of an Order that is given what another one has.
runtime::Awaitable<absl::Status> OrderReconciler::ReadClaims(runtime::Context context) {
  OrderStore::ListOptions none;
  none.matches = [this](const v1::Order& order) {
    if (!order.status().url().empty() && !IsFinal(order.status().state())) {
      memory_.ClaimUrl(order.status().url(),
                       store::QueueKey(order.metadata().namespace_(), order.metadata().name()));
    }
    return false;
  };
  const auto read = co_await environment_.orders.List(context, std::move(none));
  co_return read.status();
}

}  // namespace certwright::order
