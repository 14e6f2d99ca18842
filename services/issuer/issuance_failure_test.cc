#include "services/issuer/issuance_failure.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

// Faults 45, 55 and 86.
TEST(IssuanceFailureTest, EachTypeOfProblemHasItsClass) {
  struct Case {
    std::string type;
    FailureClass failure;
  };
  for (const Case& c : {
           Case{"connection", FailureClass::kChallenge},
           Case{"dns", FailureClass::kChallenge},
           Case{"tls", FailureClass::kChallenge},
           Case{"unauthorized", FailureClass::kChallenge},
           Case{"incorrectResponse", FailureClass::kChallenge},
           Case{"serverInternal", FailureClass::kServer},
           Case{"rateLimited", FailureClass::kServer},
           Case{"", FailureClass::kServer},
           Case{"rejectedIdentifier", FailureClass::kRefused},
           Case{"unsupportedIdentifier", FailureClass::kRefused},
           Case{"caa", FailureClass::kRefused},
           Case{"badCSR", FailureClass::kRefused},
           Case{"badPublicKey", FailureClass::kRefused},
           Case{"invalidProfile", FailureClass::kRefused},
           Case{"malformed", FailureClass::kRefused},
           Case{"unusableCertificate", FailureClass::kRefused},
           Case{"somethingNew", FailureClass::kRefused},
       }) {
    EXPECT_EQ(ClassOfProblem(c.type), c.failure) << c.type;
  }
}

TEST(IssuanceFailureTest, TheWorstOfSeveralDecides) {
  EXPECT_EQ(ClassOfProblems({}), FailureClass::kServer);
  EXPECT_EQ(ClassOfProblems({"serverInternal", "dns"}), FailureClass::kChallenge);
  EXPECT_EQ(ClassOfProblems({"caa", "dns"}), FailureClass::kRefused);
}

TEST(IssuanceFailureTest, AnotherIssuerIsNoHelpWhereOurOwnChallengeFailed) {
  EXPECT_TRUE(AnotherIssuerMayHelp(FailureClass::kServer));
  EXPECT_TRUE(AnotherIssuerMayHelp(FailureClass::kRefused));
  EXPECT_FALSE(AnotherIssuerMayHelp(FailureClass::kChallenge));
}

// Faults 55 and 86.
TEST(IssuanceFailureTest, WaitsGrowUpToALimit) {
  const std::vector<absl::Duration> short_waits = {
      absl::Minutes(1), absl::Minutes(5), absl::Minutes(25), absl::Hours(1),
      absl::Hours(2),   absl::Hours(4),   absl::Hours(6),    absl::Hours(6)};
  const std::vector<absl::Duration> long_waits = {
      absl::Hours(1),  absl::Hours(2),  absl::Hours(4),  absl::Hours(8),
      absl::Hours(16), absl::Hours(32), absl::Hours(32), absl::Hours(32)};
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(FailureBackoff(FailureClass::kServer, i + 1), short_waits[i]);
    EXPECT_EQ(FailureBackoff(FailureClass::kChallenge, i + 1), short_waits[i]);
    EXPECT_EQ(FailureBackoff(FailureClass::kRefused, i + 1), long_waits[i]);
  }
  EXPECT_EQ(FailureBackoff(FailureClass::kRefused, 1'000'000), absl::Hours(32));
  EXPECT_EQ(FailureBackoff(FailureClass::kServer, 1'000'000), absl::Hours(6));
  EXPECT_EQ(FailureBackoff(FailureClass::kServer, 0), absl::Minutes(1));
}

// Fault 78.
TEST(IssuanceFailureTest, AtMostFourAttemptsInTheFirstHour) {
  absl::Duration at;
  int attempts = 1;
  for (int failures = 1; at < absl::Hours(1); ++failures) {
    at += FailureBackoff(FailureClass::kChallenge, failures);
    if (at < absl::Hours(1)) ++attempts;
  }
  EXPECT_EQ(attempts, 4);
}

}  // namespace
}  // namespace certwright::issuer_service
