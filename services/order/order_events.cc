#include "services/order/order_events.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "lib/service/conditions.h"

namespace certwright::order {
namespace {

using meta::v1::EVENT_SEVERITY_NORMAL;
using meta::v1::EVENT_SEVERITY_WARNING;
using service::EventNews;

// None for states that the Ready condition tells of, or that say nothing.
void AddState(const v1::Order& now, std::vector<EventNews>& events) {
  const v1::OrderStatus& status = now.status();
  switch (status.state()) {
    case v1::ORDER_STATE_READY:
      events.push_back({EVENT_SEVERITY_NORMAL, "Proven", "All names are proven."});
      break;
    case v1::ORDER_STATE_PROCESSING:
      events.push_back({EVENT_SEVERITY_NORMAL, "Processing", "The CA works on the order."});
      break;
    case v1::ORDER_STATE_VALID: {
      const auto* ready = service::FindCondition(status.conditions(), "Ready");
      events.push_back({EVENT_SEVERITY_NORMAL, "Issued",
                        ready == nullptr ? "The certificate is issued." : ready->message()});
      break;
    }
    case v1::ORDER_STATE_INVALID:
      events.push_back({EVENT_SEVERITY_WARNING, "Invalid", status.reason()});
      break;
    case v1::ORDER_STATE_EXPIRED:
      events.push_back({EVENT_SEVERITY_WARNING, "Expired", status.reason()});
      break;
    case v1::ORDER_STATE_ERRORED:
      events.push_back({EVENT_SEVERITY_WARNING, "Errored", status.reason()});
      break;
    default:
      break;
  }
}

}  // namespace

std::vector<EventNews> EventsOf(const v1::Order* before, const v1::Order& now) {
  const v1::OrderStatus none;
  const v1::OrderStatus& old = before == nullptr ? none : before->status();
  const v1::OrderStatus& status = now.status();
  std::vector<EventNews> events;
  if (!status.url().empty() && status.url() != old.url()) {
    events.push_back({EVENT_SEVERITY_NORMAL, "Placed",
                      absl::StrCat("The order was placed at the CA: ", status.url())});
  }
  const auto* ready =
      service::ChangedCondition(&old.conditions(), status.conditions(), "Ready");
  const bool held_up = ready != nullptr && ready->status() != meta::v1::CONDITION_STATUS_TRUE &&
                       ready->reason() != "Pending" && ready->reason() != "Failed";
  if (held_up) events.push_back({EVENT_SEVERITY_WARNING, ready->reason(), ready->message()});
  if (status.state() != old.state()) AddState(now, events);
  return events;
}

}  // namespace certwright::order
