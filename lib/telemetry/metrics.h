// Metrics: the counters, gauges and histograms of one process, in Prometheus'
// text format.
//
//   Counter& issued =
//   metrics.GetCounter("certwright_certificates_issued_total",
//                                        "Certificates issued.", {{"issuer",
//                                        name}});
//   issued.Increment();
//
// Get...() returns the same object for the same name and labels, so call it
// once and keep the reference, which lives as long as this object: it costs a
// lock and a look-up, whereas the objects' own methods are a few atomic
// operations. Values of labels must come from a small set (never a name from
// the network): each combination is kept for ever.
//
// A bad name or label, or a name that is taken by another type of metric, is
// the programmer's mistake and ends the process.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"

namespace certwright::telemetry {

using Counter = prometheus::Counter;
using Gauge = prometheus::Gauge;
using Histogram = prometheus::Histogram;
using Labels = std::map<std::string, std::string>;

// From 1 ms to 10 minutes, for durations in seconds.
const std::vector<double>& SecondsBuckets();

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  Counter& GetCounter(const std::string& name, const std::string& help,
                      const Labels& labels = {}) noexcept;
  Gauge& GetGauge(const std::string& name, const std::string& help,
                  const Labels& labels = {}) noexcept;
  // `bounds` are the upper bounds of the buckets, ascending; the first call's
  // count.
  Histogram& GetHistogram(const std::string& name, const std::string& help,
                          const Labels& labels = {},
                          const std::vector<double>& bounds = SecondsBuckets()) noexcept;

  // All metrics in text exposition format, to be served as kContentType.
  std::string Expose() const;
  static constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace certwright::telemetry
