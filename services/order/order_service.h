// OrderService: the RPCs about orders. Running them is the reconciler's.
//
// Threading: safe from any thread. Lifetime: everything given must outlive the calls.
#pragma once

#include "certwright/order/v1/order.grpc.pb.h"
#include "lib/rpc/unary_handler.h"
#include "lib/rpc/validation.h"
#include "lib/rpc/watch_reactor.h"
#include "lib/runtime/timers.h"
#include "lib/service/resource_verbs.h"
#include "services/order/order_record.h"

namespace certwright::order {

// Brings the names of `order` into their one spelling, and adds every rule that its spec
// breaks.
void ValidateOrder(v1::Order& order, rpc::Violations& violations);

class OrderService final : public v1::OrderService::CallbackService {
 public:
  OrderService(const rpc::HandlerEnvironment& handlers, OrderStore& orders,
               runtime::Timers& timers, rpc::WatchHub& hub);

  grpc::ServerUnaryReactor* CreateOrder(grpc::CallbackServerContext* context,
                                        const v1::CreateOrderRequest* request,
                                        v1::CreateOrderResponse* response) override;
  grpc::ServerUnaryReactor* GetOrder(grpc::CallbackServerContext* context,
                                     const v1::GetOrderRequest* request,
                                     v1::GetOrderResponse* response) override;
  grpc::ServerUnaryReactor* ListOrders(grpc::CallbackServerContext* context,
                                       const v1::ListOrdersRequest* request,
                                       v1::ListOrdersResponse* response) override;
  // Only marks the order: its challenges go first.
  grpc::ServerUnaryReactor* DeleteOrder(grpc::CallbackServerContext* context,
                                        const v1::DeleteOrderRequest* request,
                                        v1::DeleteOrderResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchOrdersResponse>* WatchOrders(
      grpc::CallbackServerContext* context, const v1::WatchOrdersRequest* request) override;

 private:
  const rpc::HandlerEnvironment& handlers_;
  service::ResourceVerbs<v1::Order> verbs_;
};

}  // namespace certwright::order
