#include "lib/telemetry/metrics.h"

#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"

namespace certwright::telemetry {

struct Metrics::Families {
  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Merge};
};

const std::vector<double>& SecondsBuckets() {
  static const auto* const kBuckets =
      new std::vector<double>{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                              1,     2.5,    5,     10,   30,    60,   120, 300,  600};
  return *kBuckets;
}

Metrics::Metrics() : families_(std::make_unique<Families>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::GetCounter(const std::string& name, const std::string& help,
                             const Labels& labels) noexcept {
  return prometheus::BuildCounter()
      .Name(name)
      .Help(help)
      .Register(families_->registry)
      .Add(labels);
}

Gauge& Metrics::GetGauge(const std::string& name, const std::string& help,
                         const Labels& labels) noexcept {
  return prometheus::BuildGauge()
      .Name(name)
      .Help(help)
      .Register(families_->registry)
      .Add(labels);
}

Histogram& Metrics::GetHistogram(const std::string& name, const std::string& help,
                                 const Labels& labels,
                                 const std::vector<double>& bounds) noexcept {
  return prometheus::BuildHistogram()
      .Name(name)
      .Help(help)
      .Register(families_->registry)
      .Add(labels, bounds);
}

std::string Metrics::Expose() const {
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

}  // namespace certwright::telemetry
