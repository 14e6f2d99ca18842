// SolverMetrics: what the solver service counts.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <string>

#include "certwright/solver/v1/challenge.pb.h"
#include "lib/service/work_metrics.h"
#include "lib/telemetry/metrics.h"
#include "services/solver/scheduler.h"

namespace certwright::solver {

class SolverMetrics final : public service::WorkMetrics {
 public:
  // `metrics` must outlive this.
  explicit SolverMetrics(telemetry::Metrics& metrics);

  // A challenge has reached its final state.
  void OnFinal(const v1::Challenge& challenge, absl::Time now);
  // Whose numbers to show; before work starts. It must outlive the work.
  void Observe(const Scheduler& scheduler) { scheduler_ = &scheduler; }

  void OnWorkDone(const std::string& key, absl::Duration duration,
                  const absl::Status& result) override;

 private:
  const Scheduler* scheduler_ = nullptr;
  std::map<v1::ChallengeState, telemetry::Counter*> finished_;
  telemetry::Gauge& in_flight_;
  telemetry::Gauge& queued_;
  telemetry::Histogram& valid_seconds_;
};

}  // namespace certwright::solver
