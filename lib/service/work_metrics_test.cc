#include "lib/service/work_metrics.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::service {
namespace {

using testing::HasSubstr;

TEST(WorkMetricsTest, TellsOfTheQueueAndOfThePasses) {
  telemetry::Metrics metrics;
  WorkMetrics work(metrics, "order", "orders");
  work.OnDepth(7);
  work.OnRetry();
  work.OnQueueLatency(absl::Milliseconds(500));
  work.OnWorkDone("web/a", absl::Seconds(2), absl::OkStatus());
  work.OnWorkDone("web/b", absl::Seconds(1), absl::UnavailableError("no"));

  const std::string text = metrics.Expose();
  EXPECT_THAT(text, HasSubstr("How many orders wait for a worker."));
  EXPECT_THAT(text, HasSubstr("certwright_order_queue_depth 7\n"));
  EXPECT_THAT(text, HasSubstr("certwright_order_retries_total 1\n"));
  EXPECT_THAT(text, HasSubstr("certwright_order_queue_seconds_sum 0.5\n"));
  EXPECT_THAT(text, HasSubstr("certwright_order_pass_seconds_sum 3\n"));
  EXPECT_THAT(text, HasSubstr("certwright_order_pass_seconds_count 2\n"));
  EXPECT_THAT(text, HasSubstr("certwright_order_failed_passes_total 1\n"));
}

}  // namespace
}  // namespace certwright::service
