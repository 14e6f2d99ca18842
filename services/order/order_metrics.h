// OrderMetrics: what the order service counts.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <string>

#include "certwright/order/v1/order.pb.h"
#include "lib/controller/work_queue.h"
#include "lib/telemetry/metrics.h"

namespace certwright::order {

class OrderMetrics final : public controller::ControllerObserver {
 public:
  // `metrics` must outlive this.
  explicit OrderMetrics(telemetry::Metrics& metrics);

  // An order has reached its final state.
  void OnFinal(const v1::Order& order);

  void OnDepth(std::size_t depth) override;
  void OnRetry() override;
  void OnQueueLatency(absl::Duration latency) override;
  void OnWorkDone(const std::string& key, absl::Duration duration,
                  const absl::Status& result) override;

 private:
  std::map<v1::OrderState, telemetry::Counter*> finished_;
  telemetry::Histogram& issue_seconds_;
  telemetry::Gauge& queue_depth_;
  telemetry::Counter& retries_;
  telemetry::Counter& failed_passes_;
  telemetry::Histogram& queue_seconds_;
  telemetry::Histogram& pass_seconds_;
};

}  // namespace certwright::order
