// OrderRecord: the order that a pass works on, as it is in the store and as the pass has
// changed it.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "certwright/order/v1/order.pb.h"
#include "lib/base/clock.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/store/resource_store.h"

namespace certwright::order {

using OrderStore = store::ResourceStore<v1::Order>;

class OrderRecord {
 public:
  // `store` and `clock` must outlive this; `order` is as stored.
  OrderRecord(OrderStore& store, const base::Clock& clock, v1::Order order)
      : store_(store), clock_(clock), stored_(order), order_(std::move(order)) {}

  const v1::Order& order() const { return order_; }
  v1::Order& mutable_order() { return order_; }
  v1::OrderStatus& status() { return *order_.mutable_status(); }

  // Writes the status if it has changed. ABORTED if someone else changed the order. What a
  // pass has found out is written also when the process is about to stop. INVALID_ARGUMENT if
  // it is more than the store takes, which no other try would change: the order has failed
  // then.
  runtime::Awaitable<absl::Status> Save();
  // The same, also if someone else changed the order: what is written must not be lost.
  runtime::Awaitable<absl::Status> SaveInAnyCase();
  // Removes the order; OK if it is gone already.
  runtime::Awaitable<absl::Status> Delete();

 private:
  runtime::Context SaveContext() const;
  runtime::Awaitable<absl::Status> GiveUp(absl::Status refused);

  OrderStore& store_;
  const base::Clock& clock_;
  v1::Order stored_;
  v1::Order order_;
};

}  // namespace certwright::order
