#include "services/issuer/renewal.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::Le;

constexpr absl::Duration kDay = absl::Hours(24);
const absl::Time kStart = absl::FromCivil(absl::CivilDay(2026, 3, 1), absl::UTCTimeZone());

PresentCertificate Lasting(absl::Duration lifetime) { return {kStart, kStart + lifetime}; }

RenewalAdvice Advice(absl::Time selected, absl::Time given) { return {selected, given}; }

TEST(RenewalTest, WithoutAdviceItComesSomeTimeBeforeTheEndAndUpToATenthEarlier) {
  struct Case {
    absl::Duration lifetime;
    absl::Duration renew_before;
    int percentage;
    absl::Duration before;
  };
  for (const Case& c : {
           Case{90 * kDay, absl::ZeroDuration(), 0, 30 * kDay},
           Case{45 * kDay, absl::ZeroDuration(), 0, 15 * kDay},
           Case{10 * kDay, absl::ZeroDuration(), 0, 10 * kDay / 3},
           Case{6 * kDay, absl::ZeroDuration(), 0, 3 * kDay},
           Case{absl::Hours(1), absl::ZeroDuration(), 0, absl::Minutes(30)},
           Case{90 * kDay, 10 * kDay, 0, 10 * kDay},
           // One that is nearly as long as what the CA gave, or longer, is of no use.
           Case{6 * kDay, 10 * kDay, 0, 3 * kDay},
           Case{30 * kDay, 28 * kDay, 0, 10 * kDay},
           Case{90 * kDay, absl::ZeroDuration(), 25, 90 * kDay / 4},
           Case{90 * kDay, absl::ZeroDuration(), 90, 81 * kDay},
           Case{90 * kDay, absl::ZeroDuration(), 91, 30 * kDay},
           Case{90 * kDay, absl::ZeroDuration(), 99, 30 * kDay},
           Case{absl::Hours(1), absl::ZeroDuration(), 99, absl::Minutes(30)},
       }) {
    issuer::v1::CertificateSpec spec;
    if (c.renew_before > absl::ZeroDuration()) {
      spec.mutable_renew_before()->set_seconds(absl::ToInt64Seconds(c.renew_before));
    }
    spec.set_renew_before_percentage(c.percentage);
    for (const char* uid : {"a", "b", "c"}) {
      const PresentCertificate present = Lasting(c.lifetime);
      const absl::Time time = RenewalTime(spec, uid, present, std::nullopt);
      const absl::Time latest = present.not_after - c.before;
      const absl::Time earliest =
          std::max(kStart + c.lifetime / 10, latest - c.before / 10 - absl::Nanoseconds(1));
      EXPECT_THAT(time, AllOf(Ge(earliest), Le(latest))) << c.lifetime << " " << uid;
      EXPECT_EQ(time, RenewalTime(spec, uid, present, std::nullopt));
    }
  }
}

TEST(RenewalTest, CertificatesIssuedTogetherAreRenewedApart) {
  const PresentCertificate present = Lasting(90 * kDay);
  std::set<int64_t> hours;
  for (int i = 0; i < 1000; ++i) {
    const absl::Time time = RenewalTime({}, absl::StrCat("uid-", i), present, std::nullopt);
    hours.insert(absl::ToInt64Hours(time - kStart));
  }
  // They are spread over three days.
  EXPECT_EQ(hours.size(), 72u);
}

TEST(RenewalTest, AdviceTakesThePlaceOfTheLifetime) {
  const PresentCertificate present = Lasting(90 * kDay);
  const absl::Time early = kStart + 20 * kDay;
  const absl::Time late = kStart + 70 * kDay;
  EXPECT_EQ(RenewalTime({}, "a", present, Advice(early, kStart)), early);
  EXPECT_EQ(RenewalTime({}, "a", present, Advice(late, kStart)), late);
}

// Fault 97.
TEST(RenewalTest, ExpiryWinsOverAdvice) {
  const PresentCertificate present = Lasting(90 * kDay);
  EXPECT_EQ(RenewalTime({}, "a", present, Advice(kStart + 200 * kDay, kStart)),
            kStart + 81 * kDay);
}

struct Odd {
  const char* why;
  // Of the certificate, and how long ago it began when it came.
  absl::Duration lifetime;
  absl::Duration backdating;
  absl::Duration renew_before;
  int percentage;
  const char* reason;
  // After it came, at the earliest and at the latest.
  absl::Duration earliest;
  absl::Duration latest;
};

// Fault 98.
TEST(RenewalTest, WhatWasLeftWhenItCameIsWhatCounts) {
  const absl::Duration none;
  const absl::Duration hour = absl::Hours(1);
  const absl::Duration minute = absl::Minutes(1);
  const absl::Duration second = absl::Seconds(1);
  for (const Odd& c : {
           Odd{"asked for as much as the CA gave", 30 * kDay, 30 * second, 30 * kDay, 0,
               "RenewBeforeTooLong", 18 * kDay, 20 * kDay},
           Odd{"one second less", 30 * kDay, none, 30 * kDay - second, 0, "RenewBeforeTooLong",
               18 * kDay, 20 * kDay},
           Odd{"dated back by as much as is left", 2 * hour, hour, none, 0, "", 27 * minute,
               30 * minute},
           Odd{"dated back by nearly all", 90 * kDay, 89 * kDay, none, 0, "", 10 * hour,
               12 * hour},
           Odd{"dated back, with a margin that would have fitted", 2 * hour, hour, hour, 0,
               "RenewBeforeTooLong", 27 * minute, 30 * minute},
           Odd{"a percentage of nearly all", 90 * kDay, hour, none, 99,
               "RenewBeforePercentageTooHigh", 56 * kDay, 60 * kDay},
           Odd{"jitter goes no further than the first tenth", 100 * kDay, none, 89 * kDay, 0,
               "", 10 * kDay, 11 * kDay},
           Odd{"an hour with four fifths", hour, none, none, 80, "", 15 * minute, 15 * minute},
           Odd{"ten minutes", 10 * minute, none, none, 0, "", 9 * minute, 9 * minute},
       }) {
    issuer::v1::CertificateSpec spec;
    if (c.renew_before > none) {
      spec.mutable_renew_before()->set_seconds(absl::ToInt64Seconds(c.renew_before));
    }
    spec.set_renew_before_percentage(c.percentage);
    PresentCertificate present = Lasting(c.lifetime);
    present.issued = present.not_before + c.backdating;
    for (const char* uid : {"a", "b", "c", "d"}) {
      const RenewalPlan plan = PlanRenewal(spec, uid, present, std::nullopt);
      EXPECT_THAT(plan.time - present.issued,
                  AllOf(Ge(c.earliest - second), Le(c.latest + second)))
          << c.why;
      EXPECT_EQ(plan.adjusted_reason, c.reason) << c.why;
      EXPECT_EQ(plan.adjusted_message.empty(), plan.adjusted_reason.empty()) << c.why;
    }
  }
}

// Fault 98.
TEST(RenewalTest, SaysWhatWasAskedForAndWhatIsDone) {
  issuer::v1::CertificateSpec spec;
  spec.mutable_renew_before()->set_seconds(absl::ToInt64Seconds(30 * kDay));
  PresentCertificate present = Lasting(30 * kDay);
  present.issued = present.not_before + absl::Seconds(30);
  EXPECT_EQ(PlanRenewal(spec, "a", present, std::nullopt).adjusted_message,
            "spec.renewBefore asks for renewal 720h before the end, which is at once or nearly "
            "so: 719h59m30s were left of the certificate when it came. A third of that, "
            "239h59m50s, is used instead.");
}

// Fault 98.
TEST(RenewalTest, AdviceInTheFirstTenthIsFollowedOnceAndNotByItsSuccessor) {
  PresentCertificate present = Lasting(90 * kDay);
  present.issued = kStart;
  const absl::Time given = kStart + absl::Minutes(1);
  for (const absl::Time selected :
       {kStart - kDay, given, kStart + kDay, kStart + 9 * kDay - absl::Seconds(1)}) {
    const RenewalPlan first = PlanRenewal({}, "a", present, Advice(selected, given));
    EXPECT_EQ(first.time, std::max(selected, given));
    EXPECT_EQ(first.adjusted_reason, "");
    PresentCertificate successor = present;
    successor.renewed_early = true;
    const RenewalPlan second = PlanRenewal({}, "a", successor, Advice(selected, given));
    EXPECT_EQ(second.time, kStart + 9 * kDay);
    EXPECT_EQ(second.adjusted_reason, "AdvisedTooEarly");
  }
}

// Fault 115.
TEST(OverdueTest, TheNearerTheEndTheSoonerAndTheRestOverMinutes) {
  const absl::Time now = kStart;
  const absl::Time due = now - 5 * kDay;
  EXPECT_FALSE(IsOverdue(now - absl::Seconds(60), now));
  EXPECT_TRUE(IsOverdue(now - absl::Seconds(61), now));
  absl::Time last = now;
  for (const absl::Duration left : {absl::Minutes(1), absl::Hours(1), kDay, 10 * kDay}) {
    const absl::Time latest = StartOfOverdue(due, now + left, 1, now);
    EXPECT_GE(StartOfOverdue(due, now + left, 0, now), last) << left;
    EXPECT_LE(latest - now, std::min(absl::Minutes(10), left / 10)) << left;
    last = StartOfOverdue(due, now + left, 0, now);
  }
  EXPECT_EQ(StartOfOverdue(due, now - kDay, 0.5, now), now);
  // A batch with the same end is spread over minutes.
  std::set<int64_t> seconds;
  for (int i = 0; i < 1000; ++i) {
    const absl::Time start = StartOfOverdue(due, now + 20 * kDay, i / 1000.0, now);
    seconds.insert(absl::ToInt64Seconds(start - now));
  }
  EXPECT_GE(seconds.size(), 240u);
}

class WindowTest : public testing::Test {
 protected:
  void Add(const std::string& cron, absl::Duration duration) {
    issuer::v1::RenewalWindow& window = *spec_.add_renewal_windows();
    window.set_cron(cron);
    window.mutable_duration()->set_seconds(absl::ToInt64Seconds(duration));
  }

  issuer::v1::CertificateSpec spec_;
  const PresentCertificate present_ = Lasting(90 * kDay);
};

TEST_F(WindowTest, ATimeOutsideMovesIntoTheNextWindowAndIsSpreadOverIt) {
  // 2026-03-01 is a Sunday; day 60 is Thursday, 30 April.
  Add("0 2 * * 6", absl::Hours(4));
  const absl::Time advised = kStart + 60 * kDay;
  const absl::Time window = kStart + 62 * kDay + absl::Hours(2);
  std::set<absl::Time> times;
  for (int i = 0; i < 50; ++i) {
    const absl::Time time =
        RenewalTime(spec_, absl::StrCat("uid-", i), present_, Advice(advised, kStart));
    EXPECT_THAT(time, AllOf(Ge(window), Le(window + absl::Hours(4))));
    times.insert(time);
  }
  EXPECT_EQ(times.size(), 50u);
}

TEST_F(WindowTest, ATimeInsideStays) {
  Add("0 0 * * *", absl::Hours(24));
  const absl::Time advised = kStart + 60 * kDay + absl::Hours(5);
  EXPECT_EQ(RenewalTime(spec_, "a", present_, Advice(advised, kStart)), advised);
}

TEST_F(WindowTest, ExpiryWinsOverWindows) {
  // No window before the last tenth.
  Add("0 0 1 1 *", absl::Hours(1));
  const absl::Time advised = kStart + 60 * kDay;
  EXPECT_EQ(RenewalTime(spec_, "a", present_, Advice(advised, kStart)), advised);
}

// Fault 94.
TEST_F(WindowTest, AdviceToRenewAtOnceDoesNotWaitForAWindow) {
  Add("0 2 * * 6", absl::Hours(4));
  const absl::Time given = kStart + 3 * kDay;
  const absl::Time advised = given - absl::Hours(1);
  EXPECT_EQ(RenewalTime(spec_, "a", present_, Advice(advised, given)), given);
}

TEST_F(WindowTest, AWindowIsUsedOnlyUpToTheLastTenth) {
  // Opens on day 80 at 12:00; the last tenth begins on day 81.
  Add("0 12 20 5 *", absl::Hours(48));
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(RenewalTime(spec_, absl::StrCat("uid-", i), present_,
                            Advice(kStart + 70 * kDay, kStart)),
                AllOf(Ge(kStart + 80 * kDay + absl::Hours(12)), Le(kStart + 81 * kDay)));
  }
}

}  // namespace
}  // namespace certwright::issuer_service
