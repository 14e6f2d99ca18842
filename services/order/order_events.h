// What happened to an order between two of its states, for people.
#pragma once

#include <vector>

#include "certwright/order/v1/order.pb.h"
#include "lib/service/events.h"

namespace certwright::order {

// Pure. `before` is null for an order that is seen first.
std::vector<service::EventNews> EventsOf(const v1::Order* before, const v1::Order& now);

}  // namespace certwright::order
