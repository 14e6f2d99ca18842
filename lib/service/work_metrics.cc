#include "lib/service/work_metrics.h"

#include "absl/strings/str_cat.h"

namespace certwright::service {
namespace {

std::string Name(const std::string& service, const char* rest) {
  return absl::StrCat("certwright_", service, "_", rest);
}

}  // namespace

WorkMetrics::WorkMetrics(telemetry::Metrics& metrics, const std::string& service,
                         const std::string& resources)
    : queue_depth_(
          metrics.GetGauge(Name(service, "queue_depth"),
                           absl::StrCat("How many ", resources, " wait for a worker."))),
      retries_(metrics.GetCounter(
          Name(service, "retries_total"),
          absl::StrCat("How often ", resources, " were put back after an error."))),
      failed_passes_(metrics.GetCounter(
          Name(service, "failed_passes_total"),
          absl::StrCat("How many passes over ", resources, " ended with an error."))),
      queue_seconds_(
          metrics.GetHistogram(Name(service, "queue_seconds"),
                               absl::StrCat("How long ", resources, " wait for a worker."))),
      pass_seconds_(
          metrics.GetHistogram(Name(service, "pass_seconds"),
                               absl::StrCat("How long passes over ", resources, " take."))) {}

void WorkMetrics::OnDepth(std::size_t depth) { queue_depth_.Set(static_cast<double>(depth)); }

void WorkMetrics::OnRetry() { retries_.Increment(); }

void WorkMetrics::OnQueueLatency(absl::Duration latency) {
  queue_seconds_.Observe(absl::ToDoubleSeconds(latency));
}

void WorkMetrics::OnWorkDone(const std::string&, absl::Duration duration,
                             const absl::Status& result) {
  pass_seconds_.Observe(absl::ToDoubleSeconds(duration));
  if (!result.ok()) failed_passes_.Increment();
}

}  // namespace certwright::service
