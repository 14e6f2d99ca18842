// A year of a large fleet at one account of Let's Encrypt, in the time that it takes to draw
// moments and sort them: what RenewalTime(), OrderPace and FailureBackoff() make of it.
#include <algorithm>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/issuer/issuance_failure.h"
#include "services/issuer/order_pace.h"
#include "services/issuer/renewal.h"

namespace certwright::issuer_service {
namespace {

constexpr int kCertificates = 10'000;
constexpr absl::Duration kHour = absl::Hours(1);
constexpr absl::Duration kDay = absl::Hours(24);
constexpr absl::Duration kYear = absl::Hours(365 * 24);
// Let's Encrypt's, of 2026.
constexpr OrderLimit kLimit{300, absl::Hours(3)};
constexpr int kSameNamesAWeek = 5;
const absl::Time kStart = absl::FromCivil(absl::CivilDay(2026, 1, 1), absl::UTCTimeZone());

struct Outage {
  absl::Duration begin;
  absl::Duration length;
};

struct Profile {
  absl::Duration lifetime;
  bool has_advice;
};

class Fleet {
 public:
  Fleet(std::vector<Profile> profiles, std::vector<Outage> outages)
      : profiles_(std::move(profiles)), outages_(std::move(outages)) {
    for (int i = 0; i < kCertificates; ++i) {
      Member member;
      member.uid = absl::StrCat("certificate-", i);
      member.profile = profiles_[static_cast<std::size_t>(i) % profiles_.size()];
      members_.push_back(std::move(member));
      events_.push({kStart, i});
    }
  }

  void Run() {
    while (!events_.empty() && events_.top().first < kStart + kYear) {
      const auto [now, index] = events_.top();
      events_.pop();
      events_.push({Attempt(members_[static_cast<std::size_t>(index)], now), index});
    }
  }

  // Certificates that ended before their successor came, and not for want of a CA.
  int expired() const { return expired_; }
  int issued() const { return static_cast<int>(issued_.size()); }
  // The most orders in any span of that length; those that follow the CA's advice do not
  // count towards its limits.
  int MostCountedIn(absl::Duration span) const { return MostIn(counted_, span); }
  // The same of any one set of names.
  int MostCountedOfOneIn(absl::Duration span) const {
    int most = 0;
    for (const Member& member : members_) most = std::max(most, MostIn(member.counted, span));
    return most;
  }
  // The most certificates issued within any span of that length after `since`.
  int MostIssuedIn(absl::Duration span, absl::Time since) const {
    std::vector<absl::Time> later;
    std::copy_if(issued_.begin(), issued_.end(), std::back_inserter(later),
                 [since](absl::Time time) { return time >= since; });
    return MostIn(later, span);
  }

 private:
  struct Member {
    std::string uid;
    Profile profile;
    std::optional<PresentCertificate> present;
    int failures = 0;
    std::vector<absl::Time> counted;
  };
  using Event = std::pair<absl::Time, int>;

  static int MostIn(const std::vector<absl::Time>& times, absl::Duration span) {
    std::size_t most = 0;
    std::size_t first = 0;
    for (std::size_t last = 0; last < times.size(); ++last) {
      while (times[last] - times[first] >= span) ++first;
      most = std::max(most, last - first + 1);
    }
    return static_cast<int>(most);
  }

  bool IsUp(absl::Time time) const {
    return std::none_of(outages_.begin(), outages_.end(), [time](const Outage& outage) {
      const absl::Time begin = kStart + outage.begin;
      return time >= begin && time < begin + outage.length;
    });
  }

  // As Let's Encrypt draws its windows: two thirds into the lifetime (half, if that is short),
  // 2 % of it long.
  static RenewalAdvice AdviceFor(const Member& member) {
    const PresentCertificate& present = *member.present;
    const absl::Duration lifetime = present.not_after - present.not_before;
    const double part = lifetime < 10 * kDay ? 0.5 : 2.0 / 3;
    const double draw = JitterOf(absl::StrCat("draw of ", member.uid), present);
    const absl::Time selected =
        present.not_before + lifetime * part + lifetime * 0.02 * (draw - 0.5);
    return {selected, present.not_before};
  }

  static absl::Time RenewalOf(const Member& member) {
    std::optional<RenewalAdvice> advice;
    if (member.profile.has_advice) advice = AdviceFor(member);
    return RenewalTime({}, member.uid, *member.present, advice);
  }

  // One pass over one certificate; when the next one is.
  absl::Time Attempt(Member& member, absl::Time now) {
    if (member.present.has_value() && now < RenewalOf(member)) return RenewalOf(member);
    if (!IsUp(now)) {
      ++member.failures;
      return now + FailureBackoff(FailureClass::kServer, member.failures);
    }
    // A renewal that the CA asked for is exempt from its limits, and the first of a name is as
    // urgent as one that ends in a day.
    const bool exempt = member.present.has_value() && member.profile.has_advice;
    if (!exempt) {
      const absl::Time needed_by =
          member.present.has_value() ? member.present->not_after : kStart + kDay;
      const OrderPace::Turn turn = pace_.Ask("account", kLimit, member.uid, needed_by, now);
      if (!turn.now) return turn.again;
      pace_.Forget("account", member.uid);
      counted_.push_back(now);
      member.counted.push_back(now);
    }
    if (member.present.has_value() && now > member.present->not_after &&
        IsUp(member.present->not_after)) {
      ++expired_;
    }
    member.failures = 0;
    member.present = PresentCertificate{now - kHour, now - kHour + member.profile.lifetime};
    issued_.push_back(now);
    return RenewalOf(member);
  }

  const std::vector<Profile> profiles_;
  const std::vector<Outage> outages_;
  std::vector<Member> members_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  OrderPace pace_;
  // In order of time.
  std::vector<absl::Time> counted_;
  std::vector<absl::Time> issued_;
  int expired_ = 0;
};

const std::vector<Outage> kOutages = {
    {40 * kDay, kHour}, {100 * kDay, 24 * kHour}, {200 * kDay, 72 * kHour}};

TEST(FleetSimulationTest, WithAdviceNoCertificateEndsBeforeItsSuccessorComes) {
  Fleet fleet({{45 * kDay, true}, {6 * kDay + 16 * kHour, true}}, kOutages);
  fleet.Run();
  EXPECT_EQ(fleet.expired(), 0);
  // 5,000 of 45 days, renewed every 30 days, and as many of 160 hours, every 80 hours.
  EXPECT_GT(fleet.issued(), 5'000 * 12 + 5'000 * 105);
  EXPECT_LE(fleet.MostCountedIn(kLimit.window), 2 * kLimit.orders);
}

TEST(FleetSimulationTest, WithoutAdviceTheLimitOnOrdersIsKeptAndNothingEnds) {
  Fleet fleet({{45 * kDay, false}}, kOutages);
  fleet.Run();
  EXPECT_EQ(fleet.expired(), 0);
  EXPECT_GT(fleet.issued(), kCertificates * 11);
  // What the bucket holds, and what is given back meanwhile.
  EXPECT_LE(fleet.MostCountedIn(kLimit.window), 2 * kLimit.orders);
  EXPECT_LE(fleet.MostCountedIn(kDay), 9 * kLimit.orders);
  EXPECT_LE(fleet.MostCountedOfOneIn(7 * kDay), kSameNamesAWeek);
}

TEST(FleetSimulationTest, WithoutAdviceShortLifetimesKeepTheLimitsToo) {
  Fleet fleet({{45 * kDay, false}, {6 * kDay + 16 * kHour, false}}, kOutages);
  fleet.Run();
  EXPECT_EQ(fleet.expired(), 0);
  EXPECT_GT(fleet.issued(), 5'000 * 11 + 5'000 * 100);
  EXPECT_LE(fleet.MostCountedIn(kLimit.window), 2 * kLimit.orders);
  EXPECT_LE(fleet.MostCountedIn(kDay), 9 * kLimit.orders);
  EXPECT_LE(fleet.MostCountedOfOneIn(7 * kDay), kSameNamesAWeek);
}

TEST(FleetSimulationTest, ABatchIsNotRenewedInOneBurst) {
  // No limit holds these apart but the moments drawn.
  Fleet fleet({{45 * kDay, true}}, {});
  fleet.Run();
  const absl::Time first_renewals = kStart + 20 * kDay;
  // Spread evenly over the 35 days that it took to issue them all it would be some 14 an hour.
  EXPECT_LE(fleet.MostIssuedIn(kHour, first_renewals), kCertificates / 50);
}

}  // namespace
}  // namespace certwright::issuer_service
