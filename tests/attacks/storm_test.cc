// A storm of some seconds: what must be however slow the machine is.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/attacks/storm_run.h"

namespace certwright::attacks {
namespace {

TEST(StormTest, OthersAreIssuedAndServicesStaySmallAndNothingIsForged) {
  StormOptions options;
  options.duration = absl::Seconds(6);
  CW_ASSERT_OK_AND_ASSIGN(const StormReport report, RunStorm(options));
  EXPECT_THAT(report.failures, testing::IsEmpty()) << ToJson(report);
  ASSERT_THAT(report.parts, testing::SizeIs(4));
  for (const PartReport& part : report.parts) EXPECT_GE(part.issued, 1) << part.name;
  for (const std::size_t part : {1, 2}) {
    EXPECT_THAT(report.parts[part].attackers_calls, testing::Not(testing::IsEmpty()));
  }
}

}  // namespace
}  // namespace certwright::attacks
