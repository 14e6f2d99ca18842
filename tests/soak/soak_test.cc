// A soak of a minute, with a kill of each service.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/soak/soak_run.h"

namespace certwright::soak {
namespace {

TEST(SoakTest, FiveHundredIssuancesUnderFaultsAndKillsLeaveNothingBehind) {
  SoakOptions options;
  options.duration = absl::Minutes(1);
  options.issuances = 500;
  options.population = 100;
  options.kill_every = absl::Seconds(15);
  CW_ASSERT_OK_AND_ASSIGN(const SoakReport report, RunSoak(options));
  EXPECT_THAT(report.failures, testing::IsEmpty()) << ToJson(report);
  EXPECT_GE(report.issuances, 500);
  EXPECT_GE(report.ca_certificates, 500);
  EXPECT_GT(report.faults, 100);
  for (const ServiceReport& service : report.services) {
    EXPECT_GE(service.kills, 1);
    EXPECT_GT(service.rss_mib.max, 1);
    EXPECT_GT(service.files.max, 3);
    EXPECT_GT(service.store_mib, 0);
  }
}

}  // namespace
}  // namespace certwright::soak
