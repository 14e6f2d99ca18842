// OrderReconciler: runs orders at their CA (RFC 8555 §7.4): each pass over one of them is an
// OrderPass.
//
// Threading: safe from any thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lib/controller/controller.h"
#include "services/order/order_memory.h"
#include "services/order/order_pass.h"

namespace certwright::order {

class OrderReconciler final : public controller::Reconciler {
 public:
  explicit OrderReconciler(OrderEnvironment environment)
      : environment_(std::move(environment)) {}

  // `key` is "<namespace>/<name>".
  runtime::Awaitable<absl::StatusOr<controller::Result>> Reconcile(runtime::Context context,
                                                                   std::string key) override;

 private:
  const OrderEnvironment environment_;
  OrderMemory memory_;
};

}  // namespace certwright::order
