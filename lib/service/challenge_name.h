// ChallengeName: what the challenge of an authorization is called, for the service that makes
// it and for who asks about an order's challenges.
#pragma once

#include <string>

#include "certwright/order/v1/order.pb.h"
#include "lib/service/derived_name.h"

namespace certwright::service {

// In the namespace of `order`: always the same name.
inline std::string ChallengeName(const order::v1::Order& order,
                                 const order::v1::Authorization& authorization) {
  return DerivedName(order.metadata().name(), {order.metadata().uid(), authorization.url()});
}

}  // namespace certwright::service
