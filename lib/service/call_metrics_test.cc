#include "lib/service/call_metrics.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::service {
namespace {

using ::testing::HasSubstr;

TEST(CallMetricsTest, CountsByMethodAndCodeAndTimesByMethod) {
  telemetry::Metrics metrics;
  CallMetrics calls(metrics, "issuer");
  calls.OnCall("GetSecret", absl::StatusCode::kOk, absl::Milliseconds(500));
  calls.OnCall("GetSecret", absl::StatusCode::kOk, absl::Milliseconds(250));
  calls.OnCall("GetSecret", absl::StatusCode::kNotFound, absl::Milliseconds(250));
  calls.OnCall("ListSecrets", absl::StatusCode::kOk, absl::Seconds(2));

  const std::string text = metrics.Expose();
  EXPECT_THAT(text,
              HasSubstr("certwright_issuer_rpcs_total{code=\"OK\",method=\"GetSecret\"} 2\n"));
  EXPECT_THAT(
      text,
      HasSubstr("certwright_issuer_rpcs_total{code=\"NOT_FOUND\",method=\"GetSecret\"} 1\n"));
  EXPECT_THAT(
      text, HasSubstr("certwright_issuer_rpcs_total{code=\"OK\",method=\"ListSecrets\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("certwright_issuer_rpc_seconds_count{method=\"GetSecret\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("certwright_issuer_rpc_seconds_sum{method=\"GetSecret\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("certwright_issuer_rpc_seconds_sum{method=\"ListSecrets\"} 2\n"));
}

}  // namespace
}  // namespace certwright::service
