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
           // One that is no shorter than what the CA gave is of no use.
           Case{6 * kDay, 10 * kDay, 0, 3 * kDay},
           Case{90 * kDay, absl::ZeroDuration(), 25, 90 * kDay / 4},
           Case{90 * kDay, absl::ZeroDuration(), 99, 90 * kDay / 100 * 99},
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
      EXPECT_THAT(time, AllOf(Ge(std::max(kStart, latest - c.before / 10)), Le(latest)))
          << c.lifetime << " " << uid;
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
  EXPECT_EQ(RenewalTime(spec_, "a", present_, Advice(advised, given)), advised);
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
