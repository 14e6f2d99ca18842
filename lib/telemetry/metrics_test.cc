#include "lib/telemetry/metrics.h"

#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::telemetry {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(MetricsTest, ExposesAllInTextFormat) {
  Metrics metrics;
  metrics.GetCounter("issued_total", "Certificates issued.", {{"issuer", "le"}}).Increment(2);
  metrics.GetGauge("in_flight", "Challenges in flight.").Set(7);
  Histogram& seconds = metrics.GetHistogram("order_seconds", "Time of orders.", {}, {0.5, 1});
  seconds.Observe(0.25);
  seconds.Observe(3);
  EXPECT_THAT(metrics.Expose(),
              AllOf(HasSubstr("# HELP issued_total Certificates issued.\n"
                              "# TYPE issued_total counter\nissued_total{issuer=\"le\"} 2\n"),
                    HasSubstr("# TYPE in_flight gauge\nin_flight 7\n"),
                    HasSubstr("order_seconds_bucket{le=\"0.5\"} 1\n"),
                    HasSubstr("order_seconds_bucket{le=\"+Inf\"} 2\n"),
                    HasSubstr("order_seconds_sum 3.25\n")));
}

TEST(MetricsTest, TheSameNameAndLabelsAreTheSameMetric) {
  Metrics metrics;
  Counter& counter = metrics.GetCounter("a_total", "A.", {{"x", "1"}});
  EXPECT_EQ(&counter, &metrics.GetCounter("a_total", "A.", {{"x", "1"}}));
  EXPECT_NE(&counter, &metrics.GetCounter("a_total", "A.", {{"x", "2"}}));
  EXPECT_EQ(&metrics.GetHistogram("h", "H."), &metrics.GetHistogram("h", "H."));
}

TEST(MetricsTest, LabelsAreEscaped) {
  Metrics metrics;
  metrics.GetCounter("a_total", "A.", {{"x", "a\"b\\c\nd"}}).Increment();
  EXPECT_THAT(metrics.Expose(), HasSubstr(R"(a_total{x="a\"b\\c\nd"} 1)"));
}

TEST(MetricsTest, ThreadsMayCreateCountAndExposeAtOnce) {
  Metrics metrics;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 100; ++j) {
        metrics.GetCounter("a_total", "A.", {{"x", std::to_string(j % 3)}}).Increment();
        if (j % 25 == 0) metrics.Expose();
      }
    });
  }
  threads.clear();
  EXPECT_THAT(metrics.Expose(), HasSubstr("a_total{x=\"1\"} 132\n"));
}

TEST(MetricsDeathTest, ATakenNameEndsTheProcess) {
  Metrics metrics;
  metrics.GetCounter("a_total", "A.");
  EXPECT_DEATH(metrics.GetGauge("a_total", "A."), "");
  EXPECT_DEATH(metrics.GetGauge("not a name", "A."), "");
}

}  // namespace
}  // namespace certwright::telemetry
