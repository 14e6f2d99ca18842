#include "services/order/order_metrics.h"

#include <utility>

#include "lib/service/conditions.h"

namespace certwright::order {

OrderMetrics::OrderMetrics(telemetry::Metrics& metrics)
    : WorkMetrics(metrics, "order", "orders"),
      issue_seconds_(
          metrics.GetHistogram("certwright_order_issue_seconds",
                               "From the creation of an order to its certificate.")) {
  for (const auto& [state, name] : {std::pair(v1::ORDER_STATE_VALID, "valid"),
                                    std::pair(v1::ORDER_STATE_INVALID, "invalid"),
                                    std::pair(v1::ORDER_STATE_EXPIRED, "expired"),
                                    std::pair(v1::ORDER_STATE_ERRORED, "errored")}) {
    finished_[state] =
        &metrics.GetCounter("certwright_order_finished_total",
                            "Orders that reached a final state.", {{"state", name}});
  }
}

void OrderMetrics::OnFinal(const v1::Order& order) {
  const auto counter = finished_.find(order.status().state());
  if (counter != finished_.end()) counter->second->Increment();
  const meta::v1::Condition* ready =
      service::FindCondition(order.status().conditions(), "Ready");
  if (order.status().state() != v1::ORDER_STATE_VALID || ready == nullptr) return;
  const absl::Duration elapsed = service::FromProto(ready->last_transition_time()) -
                                 service::FromProto(order.metadata().create_time());
  issue_seconds_.Observe(absl::ToDoubleSeconds(elapsed));
}

}  // namespace certwright::order
