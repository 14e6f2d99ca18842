// OrderReconciler: runs orders at their CA (RFC 8555 §7.4): each pass over one of them is an
// OrderPass.
//
// Threading: safe from any thread.
#pragma once

#include <atomic>
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
  // How far it is known which order at a CA belongs to which Order, as an earlier process has
  // left them.
  enum class Claims { kUnknown, kBeingRead, kKnown };

  runtime::Awaitable<absl::Status> ReadClaims(runtime::Context context);

  const OrderEnvironment environment_;
  OrderMemory memory_;
  std::atomic<Claims> claims_ = Claims::kUnknown;
};

}  // namespace certwright::order
