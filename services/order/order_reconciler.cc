#include "services/order/order_reconciler.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/store/resource_key.h"

namespace certwright::order {

runtime::Awaitable<absl::StatusOr<controller::Result>> OrderReconciler::Reconcile(
    runtime::Context context, std::string key) {
  CW_CO_ASSIGN_OR_RETURN(const store::ResourceName name, store::ParseQueueKey(key));
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

}  // namespace certwright::order
