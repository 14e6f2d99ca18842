// OrderService: the RPCs about orders. Running them is the reconciler's.
//
// Threading: safe from any thread. Lifetime: everything given must outlive the calls.
#pragma once

#include "certwright/order/v1/order.pb.h"
#include "lib/rpc/service.h"
#include "lib/rpc/validation.h"
#include "lib/service/resource_verbs.h"
#include "services/order/order_record.h"

namespace certwright::order {

// Brings the names of `order` into their one spelling, and adds every rule that its spec
// breaks.
void ValidateOrder(v1::Order& order, rpc::Violations& violations);

// DeleteOrder only marks the order: its challenges go first.
class OrderService final : public rpc::Service {
 public:
  OrderService(const rpc::CallEnvironment& calls, OrderStore& orders);

 private:
  void AddMethods();

  service::ResourceVerbs<v1::Order> verbs_;
};

}  // namespace certwright::order
