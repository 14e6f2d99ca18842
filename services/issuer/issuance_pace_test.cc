#include "services/issuer/issuance_pace.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/service/conditions.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateStatus;

constexpr absl::Duration kMinute = absl::Minutes(1);
constexpr absl::Duration kHour = absl::Hours(1);
const absl::Time kNow = absl::FromUnixSeconds(1767323045);

// Begins as soon as it may, `count` times; when, after the first.
std::vector<absl::Duration> Begin(IssuanceCause cause, int count, CertificateStatus& status,
                                  PaceRules rules = PaceRules()) {
  std::vector<absl::Duration> times;
  absl::Time now = kNow;
  for (int i = 0; i < count; ++i) {
    now = std::max(now, NextIssuanceAt(status, cause, rules, now));
    NoteIssuance(cause, 1, rules, now, status);
    times.push_back(now - kNow);
  }
  return times;
}

// Fault 98.
TEST(IssuancePaceTest, TheFirstIsAtOnceWhateverItIsFor) {
  for (const IssuanceCause cause :
       {IssuanceCause::kScheduled, IssuanceCause::kAsked, IssuanceCause::kUnasked}) {
    EXPECT_EQ(NextIssuanceAt({}, cause, {}, kNow), absl::InfinitePast());
  }
}

// Fault 98.
TEST(IssuancePaceTest, WhatNobodyAskedForKeepsADistanceThatGrows) {
  CertificateStatus status;
  EXPECT_THAT(Begin(IssuanceCause::kUnasked, 7, status),
              testing::ElementsAre(0 * kMinute, kMinute, 6 * kMinute, 31 * kMinute,
                                   91 * kMinute, 211 * kMinute, 451 * kMinute));
}

// Fault 98.
TEST(IssuancePaceTest, WhatWasAskedForComesAtOnceFiveTimesAnHourAndTenADay) {
  CertificateStatus status;
  EXPECT_THAT(Begin(IssuanceCause::kAsked, 12, status),
              testing::ElementsAre(0 * kHour, 0 * kHour, 0 * kHour, 0 * kHour, 0 * kHour, kHour,
                                   kHour, kHour, kHour, kHour, 24 * kHour, 24 * kHour));
}

// Fault 98.
TEST(IssuancePaceTest, WhatACaAdvisesComesAtOnceThreeTimesAnHourAndTenADay) {
  CertificateStatus status;
  EXPECT_THAT(Begin(IssuanceCause::kAdvised, 11, status),
              testing::ElementsAre(0 * kHour, 0 * kHour, 0 * kHour, kHour, kHour, kHour,
                                   2 * kHour, 2 * kHour, 2 * kHour, 3 * kHour, 24 * kHour));
}

// Fault 98.
TEST(IssuancePaceTest, RenewalsInDueTimeAreFiveAnHourForEver) {
  CertificateStatus status;
  const auto times = Begin(IssuanceCause::kScheduled, 100, status);
  EXPECT_EQ(times[4], 0 * kHour);
  EXPECT_EQ(times[5], kHour);
  EXPECT_EQ(times[99], 19 * kHour);
  EXPECT_LE(status.issuance_starts_size(), 5);
}

// Fault 98.
TEST(IssuancePaceTest, AllCausesTogetherAreFiveAnHour) {
  CertificateStatus status;
  Begin(IssuanceCause::kScheduled, 2, status);
  Begin(IssuanceCause::kAsked, 2, status);
  Begin(IssuanceCause::kUnasked, 1, status);
  for (const IssuanceCause cause :
       {IssuanceCause::kScheduled, IssuanceCause::kAsked, IssuanceCause::kUnasked}) {
    EXPECT_GE(NextIssuanceAt(status, cause, {}, kNow + 30 * kMinute), kNow + kHour);
  }
}

// Fault 98.
TEST(IssuancePaceTest, AShorterWindowShortensAll) {
  const PaceRules rules{3, kMinute};
  CertificateStatus asked;
  EXPECT_EQ(Begin(IssuanceCause::kAsked, 4, asked, rules)[3], kMinute);
  CertificateStatus unasked;
  EXPECT_EQ(Begin(IssuanceCause::kUnasked, 2, unasked, rules)[1], absl::Seconds(1));
}

// Fault 98.
TEST(IssuancePaceTest, WhatLiesAheadWasNotedUnderAnotherClock) {
  CertificateStatus status;
  Begin(IssuanceCause::kAsked, 5, status);
  const absl::Time yesterday = kNow - 24 * kHour;
  EXPECT_EQ(NextIssuanceAt(status, IssuanceCause::kUnasked, {}, yesterday),
            absl::InfinitePast());
  NoteIssuance(IssuanceCause::kAsked, 1, {}, yesterday, status);
  EXPECT_EQ(status.issuance_starts_size(), 1);
}

TEST(IssuancePaceTest, AClockThatIsPutRightForgetsNothing) {
  CertificateStatus status;
  Begin(IssuanceCause::kAsked, 5, status);
  const absl::Time before = kNow - absl::Seconds(30);
  EXPECT_EQ(NextIssuanceAt(status, IssuanceCause::kAsked, {}, before), kNow + kHour);
  NoteIssuance(IssuanceCause::kAsked, 1, {}, before, status);
  EXPECT_EQ(status.issuance_starts_size(), 6);
}

TEST(HasNewSpecTest, ComparesWithTheLastThatWasBegun) {
  issuer::v1::Certificate certificate;
  certificate.mutable_metadata()->set_generation(2);
  EXPECT_FALSE(HasNewSpec(certificate));
  NoteIssuance(IssuanceCause::kAsked, 2, {}, kNow, *certificate.mutable_status());
  EXPECT_FALSE(HasNewSpec(certificate));
  certificate.mutable_metadata()->set_generation(3);
  EXPECT_TRUE(HasNewSpec(certificate));
}

}  // namespace
}  // namespace certwright::issuer_service
