#include "services/issuer/secret_repairs.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/service/conditions.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;

const absl::Time kNow = absl::FromUnixSeconds(1767323045);

Certificate Repaired(int times) {
  Certificate certificate;
  certificate.mutable_spec()->set_secret_name("site-tls");
  for (int i = 0; i < times; ++i) NoteRepair(kNow, certificate);
  return certificate;
}

// Fault 99.
TEST(SecretRepairsTest, TheFirstIsAtOnceAndTheNextOnesEverLater) {
  std::vector<absl::Duration> waits;
  for (int times = 1; times <= 9; ++times) {
    waits.push_back(NextRepairAt(Repaired(times).status(), kNow) - kNow);
  }
  EXPECT_EQ(NextRepairAt(Repaired(0).status(), kNow), absl::InfinitePast());
  const absl::Duration second = absl::Seconds(1);
  EXPECT_THAT(waits,
              testing::ElementsAre(second, 2 * second, 4 * second, 8 * second, 16 * second,
                                   32 * second, 60 * second, 60 * second, 60 * second));
}

// Fault 99.
TEST(SecretRepairsTest, TellsHowOftenAndWhenLast) {
  const Certificate certificate = Repaired(3);
  EXPECT_EQ(certificate.status().secret_repairs().count(), 3);
  EXPECT_EQ(service::FromProto(certificate.status().secret_repairs().last_time()), kNow);
  const auto* condition =
      service::FindCondition(certificate.status().conditions(), "SecretOverwritten");
  ASSERT_NE(condition, nullptr);
  EXPECT_EQ(condition->reason(), "WrittenByOthers");
  EXPECT_THAT(condition->message(), testing::HasSubstr("site-tls"));
  EXPECT_THAT(condition->message(), testing::HasSubstr("3 times, last at 2026-01-02T"));
}

// Fault 99.
TEST(SecretRepairsTest, IsForgottenAfterAnHourWithout) {
  Certificate certificate = Repaired(8);
  auto& status = *certificate.mutable_status();
  const absl::Time end = kNow + absl::Hours(1);
  EXPECT_EQ(ForgetRepairs(end - absl::Seconds(1), status), end);
  EXPECT_NE(service::FindCondition(status.conditions(), "SecretOverwritten"), nullptr);
  EXPECT_EQ(ForgetRepairs(end, status), absl::InfiniteFuture());
  EXPECT_FALSE(status.has_secret_repairs());
  EXPECT_EQ(service::FindCondition(status.conditions(), "SecretOverwritten"), nullptr);
  EXPECT_EQ(NextRepairAt(status, end), absl::InfinitePast());
}

// Fault 99.
TEST(SecretRepairsTest, OneNotedUnderAClockOfTomorrowHoldsUpNothing) {
  EXPECT_EQ(NextRepairAt(Repaired(8).status(), kNow - absl::Hours(24)), absl::InfinitePast());
}

TEST(SecretRepairsTest, AClockThatIsPutRightForgetsNothing) {
  const absl::Duration second = absl::Seconds(1);
  EXPECT_EQ(NextRepairAt(Repaired(8).status(), kNow - 30 * second), kNow + 60 * second);
}

}  // namespace
}  // namespace certwright::issuer_service
