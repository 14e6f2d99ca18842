#include "services/solver/solver_metrics.h"

#include <utility>

#include "lib/service/conditions.h"

namespace certwright::solver {

SolverMetrics::SolverMetrics(telemetry::Metrics& metrics)
    : WorkMetrics(metrics, "solver", "challenges"),
      in_flight_(metrics.GetGauge("certwright_solver_challenges_in_flight",
                                  "Challenges that hold a slot of the scheduler.")),
      queued_(metrics.GetGauge("certwright_solver_challenges_queued",
                               "Challenges that wait for a slot of the scheduler.")),
      valid_seconds_(
          metrics.GetHistogram("certwright_solver_challenge_seconds",
                               "From the creation of a challenge until it is valid.")) {
  for (const auto& [state, name] : {std::pair(v1::CHALLENGE_STATE_VALID, "valid"),
                                    std::pair(v1::CHALLENGE_STATE_INVALID, "invalid"),
                                    std::pair(v1::CHALLENGE_STATE_EXPIRED, "expired"),
                                    std::pair(v1::CHALLENGE_STATE_ERRORED, "errored")}) {
    finished_[state] =
        &metrics.GetCounter("certwright_solver_challenges_finished_total",
                            "Challenges that reached a final state.", {{"state", name}});
  }
}

void SolverMetrics::OnFinal(const v1::Challenge& challenge, absl::Time now) {
  const auto counter = finished_.find(challenge.status().state());
  if (counter != finished_.end()) counter->second->Increment();
  if (challenge.status().state() != v1::CHALLENGE_STATE_VALID) return;
  const absl::Duration elapsed = now - service::FromProto(challenge.metadata().create_time());
  valid_seconds_.Observe(absl::ToDoubleSeconds(elapsed));
}

void SolverMetrics::OnWorkDone(const std::string& key, absl::Duration duration,
                               const absl::Status& result) {
  WorkMetrics::OnWorkDone(key, duration, result);
  if (scheduler_ == nullptr) return;
  in_flight_.Set(scheduler_->in_flight());
  queued_.Set(scheduler_->queued());
}

}  // namespace certwright::solver
