// OrderMetrics: what the order service counts.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <string>

#include "certwright/order/v1/order.pb.h"
#include "lib/service/work_metrics.h"
#include "lib/telemetry/metrics.h"

namespace certwright::order {

class OrderMetrics final : public service::WorkMetrics {
 public:
  // `metrics` must outlive this.
  explicit OrderMetrics(telemetry::Metrics& metrics);

  // An order has reached its final state.
  void OnFinal(const v1::Order& order);

 private:
  std::map<v1::OrderState, telemetry::Counter*> finished_;
  telemetry::Histogram& issue_seconds_;
};

}  // namespace certwright::order
