#include "services/order/order_metrics.h"

#include <utility>

#include "lib/service/conditions.h"

namespace certwright::order {

OrderMetrics::OrderMetrics(telemetry::Metrics& metrics)
    : issue_seconds_(metrics.GetHistogram("certwright_order_issue_seconds",
                                          "From the creation of an order to its certificate.")),
      queue_depth_(
          metrics.GetGauge("certwright_order_queue_depth", "Orders that wait for a worker.")),
      retries_(metrics.GetCounter("certwright_order_retries_total",
                                  "Orders put back after an error.")),
      failed_passes_(metrics.GetCounter("certwright_order_failed_passes_total",
                                        "Passes over an order that ended with an error.")),
      queue_seconds_(metrics.GetHistogram("certwright_order_queue_seconds",
                                          "How long orders wait for a worker.")),
      pass_seconds_(metrics.GetHistogram("certwright_order_pass_seconds",
                                         "How long a pass over an order takes.")) {
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

void OrderMetrics::OnDepth(std::size_t depth) { queue_depth_.Set(static_cast<double>(depth)); }

void OrderMetrics::OnRetry() { retries_.Increment(); }

void OrderMetrics::OnQueueLatency(absl::Duration latency) {
  queue_seconds_.Observe(absl::ToDoubleSeconds(latency));
}

void OrderMetrics::OnWorkDone(const std::string&, absl::Duration duration,
                              const absl::Status& result) {
  pass_seconds_.Observe(absl::ToDoubleSeconds(duration));
  if (!result.ok()) failed_passes_.Increment();
}

}  // namespace certwright::order
