// WorkMetrics: what a controller's queue and workers report, as metrics.
//
// Threading: safe from any thread.
#pragma once

#include <string>

#include "lib/controller/work_queue.h"
#include "lib/telemetry/metrics.h"

namespace certwright::service {

class WorkMetrics : public controller::ControllerObserver {
 public:
  // The metrics' names begin with "certwright_<service>_"; their help tells of `resources`, a
  // plural. `metrics` must outlive this.
  WorkMetrics(telemetry::Metrics& metrics, const std::string& service,
              const std::string& resources);

  void OnDepth(std::size_t depth) override;
  void OnRetry() override;
  void OnQueueLatency(absl::Duration latency) override;
  void OnWorkDone(const std::string& key, absl::Duration duration,
                  const absl::Status& result) override;

 private:
  telemetry::Gauge& queue_depth_;
  telemetry::Counter& retries_;
  telemetry::Counter& failed_passes_;
  telemetry::Histogram& queue_seconds_;
  telemetry::Histogram& pass_seconds_;
};

}  // namespace certwright::service
