// A year of a large fleet at one account of Let's Encrypt, in the time that it takes to draw
// moments and sort them: what RenewalTime(), LimitBuckets and FailureBackoff() make of it.
#include <algorithm>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/issuer/issuance_failure.h"
#include "services/issuer/limit_buckets.h"
#include "services/issuer/rate_limits.h"
#include "services/issuer/renewal.h"

namespace certwright::issuer_service {
namespace {

constexpr int kCertificates = 10'000;
constexpr absl::Duration kHour = absl::Hours(1);
constexpr absl::Duration kDay = absl::Hours(24);
constexpr absl::Duration kYear = absl::Hours(365 * 24);
// Let's Encrypt's, of 2026.
constexpr Limit kLimit{300, absl::Hours(3)};
constexpr int kSameNamesAWeek = 5;
const absl::Time kStart = absl::FromCivil(absl::CivilDay(2026, 1, 1), absl::UTCTimeZone());

struct Outage {
  absl::Duration begin;
  absl::Duration length;
};

struct Names {
  std::string name;
  std::string domain;
};

struct Profile {
  absl::Duration lifetime;
  bool has_advice;
};

// Those that are kept without being asked for.
RateLimits PublishedLimits() {
  issuer::v1::AcmeIssuer issuer;
  issuer.mutable_rate_limits();
  return RateLimitsOf(issuer);
}

// A CA with the limits that Let's Encrypt publishes, as it publishes them: token buckets, which
// it looks at when an order is placed.
class LimitedCa {
 public:
  // A renewal of the same names counts for neither the account nor the domains, an advised one
  // for nothing but the failures of its names.
  void PlaceOrder(const Names& names, Exemption exemption, absl::Time now) {
    if (exemption == Exemption::kNone) {
      if (!Has("orders", kOrders, now)) ++refused_;
      Spend("orders", kOrders, now);
      if (!Has("domain " + names.domain, kPerDomain, now)) ++refused_;
    }
    if (exemption != Exemption::kAdvised && !Has("set " + names.name, kPerSet, now)) ++refused_;
    if (!Has("failures " + names.name, kFailures, now)) ++refused_;
  }
  void Issue(const Names& names, Exemption exemption, absl::Time now) {
    if (exemption == Exemption::kAdvised) return;
    if (exemption == Exemption::kNone) Spend("domain " + names.domain, kPerDomain, now);
    Spend("set " + names.name, kPerSet, now);
  }
  void FailValidation(const Names& names, absl::Time now) {
    Spend("failures " + names.name, kFailures, now);
  }
  // How often it would have answered rateLimited.
  int refused() const { return refused_; }

 private:
  struct Tokens {
    double left = 0;
    absl::Time as_of = absl::InfinitePast();
  };
  static constexpr Limit kOrders{300, absl::Hours(3)};
  static constexpr Limit kPerDomain{50, absl::Hours(168)};
  static constexpr Limit kPerSet{5, absl::Hours(168)};
  static constexpr Limit kFailures{5, absl::Hours(1)};

  Tokens& Fill(const std::string& bucket, const Limit& limit, absl::Time now) {
    Tokens& tokens = tokens_[bucket];
    const auto most = static_cast<double>(limit.count);
    const bool is_new = tokens.as_of == absl::InfinitePast();
    const double more =
        is_new ? most : most * absl::FDivDuration(now - tokens.as_of, limit.window);
    tokens.left = std::min(most, tokens.left + more);
    tokens.as_of = now;
    return tokens;
  }
  bool Has(const std::string& bucket, const Limit& limit, absl::Time now) {
    // A millionth is what adding up rounds away in a year.
    return Fill(bucket, limit, now).left >= 1 - 1e-6;
  }
  void Spend(const std::string& bucket, const Limit& limit, absl::Time now) {
    Fill(bucket, limit, now).left -= 1;
  }

  std::unordered_map<std::string, Tokens> tokens_;
  int refused_ = 0;
};

class Fleet {
 public:
  Fleet(const std::vector<Profile>& profiles, std::vector<Outage> outages)
      : outages_(std::move(outages)) {
    for (int i = 0; i < kCertificates; ++i) {
      Member member;
      member.uid = absl::StrCat("certificate-", i);
      member.names.domain = absl::StrCat("d", i / 3, ".example");
      member.profile = profiles[static_cast<std::size_t>(i) % profiles.size()];
      members_.push_back(std::move(member));
      events_.push({kStart, i});
    }
  }

  // The first `count` have names below one domain.
  void ShareADomain(int count) {
    for (int i = 0; i < count; ++i)
      members_[static_cast<std::size_t>(i)].names.domain = "big.example";
  }
  // The proof of every nth name fails from day 20 to day 40, and its owner, who does not wait,
  // tries again every minute.
  void BreakEvery(int nth) { broken_ = nth; }

  void Run() {
    for (Member& member : members_) {
      member.names.name = absl::StrCat(member.uid, ".", member.names.domain);
    }
    while (!events_.empty() && events_.top().first < kStart + kYear) {
      const auto [now, index] = events_.top();
      events_.pop();
      events_.push({Step(index, now), index});
    }
  }

  // Certificates that ended before their successor came, and not for want of a CA or a proof.
  int expired() const { return expired_; }
  int issued() const { return static_cast<int>(issued_.size()); }
  int failed() const { return failed_; }
  int refused() const { return ca_.refused(); }
  // How many never got any.
  int without() const {
    return static_cast<int>(
        std::count_if(members_.begin(), members_.end(),
                      [](const Member& member) { return !member.present.has_value(); }));
  }
  // The most orders in any span of that length; those that follow the CA's advice do not
  // count towards its limits.
  int MostCountedIn(absl::Duration span) const { return MostIn(counted_, span); }
  // The same of any one set of names.
  int MostCountedOfOneIn(absl::Duration span) const {
    int most = 0;
    for (const Member& member : members_) most = std::max(most, MostIn(member.counted, span));
    return most;
  }
  // The most validations of one name that failed in any span of that length.
  int MostFailedOfOneIn(absl::Duration span) const {
    int most = 0;
    for (const Member& member : members_) most = std::max(most, MostIn(member.failed, span));
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
  enum class State { kIdle, kOrdering, kValidating };
  struct Member {
    std::string uid;
    // Of the request on its way; each attempt has another one.
    std::string request;
    Names names;
    Profile profile;
    State state = State::kIdle;
    std::optional<PresentCertificate> present;
    absl::Time renewal = absl::InfinitePast();
    Exemption exemption = Exemption::kNone;
    std::vector<Draw> draws;
    Exemption drawn_for = Exemption::kNone;
    int failures = 0;
    bool was_broken = false;
    std::vector<absl::Time> counted;
    std::vector<absl::Time> failed;
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

  bool IsBroken(int index, absl::Time now) const {
    return broken_ > 0 && index % broken_ == 0 && now >= kStart + 20 * kDay &&
           now < kStart + 40 * kDay;
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

  // Whether the CA's window is still open.
  static bool IsAdvised(const Member& member, absl::Time now) {
    const PresentCertificate& present = *member.present;
    const absl::Duration lifetime = present.not_after - present.not_before;
    const double part = lifetime < 10 * kDay ? 0.5 : 2.0 / 3;
    return now < present.not_before + lifetime * (part + 0.01);
  }

  static absl::Time RenewalOf(const Member& member) {
    std::optional<RenewalAdvice> advice;
    if (member.profile.has_advice) advice = AdviceFor(member);
    return RenewalTime({}, member.uid, *member.present, advice);
  }

  static Exemption ExemptionOf(const Member& member, absl::Time now) {
    if (!member.present.has_value()) return Exemption::kNone;
    return member.profile.has_advice && IsAdvised(member, now) ? Exemption::kAdvised
                                                               : Exemption::kRenewal;
  }

  // Worked out once for each exemption.
  const std::vector<Draw>& DrawsOf(Member& member) const {
    if (!member.draws.empty() && member.drawn_for == member.exemption) return member.draws;
    LimitedOrder order;
    order.server = "ca";
    order.account = "account";
    order.names.dns_names = {member.names.name};
    order.exemption = member.exemption;
    member.draws = issuer_service::DrawsOf(limits_, order);
    member.drawn_for = member.exemption;
    return member.draws;
  }

  // What happens next to one certificate; when to look again.
  absl::Time Step(int index, absl::Time now) {
    Member& member = members_[static_cast<std::size_t>(index)];
    switch (member.state) {
      case State::kIdle:
        return Begin(member, now);
      case State::kOrdering:
        return Order(member, now);
      case State::kValidating:
        return End(member, index, now);
    }
    return absl::InfiniteFuture();
  }

  // Orders reach the CA some seconds after their turn, and certificates come minutes later.
  absl::Duration Delay(absl::Duration longest) {
    return longest * std::uniform_real_distribution<>(0, 1)(random_);
  }

  absl::Time Begin(Member& member, absl::Time now) {
    if (now < member.renewal) return member.renewal;
    if (!IsUp(now)) {
      ++member.failures;
      return now + FailureBackoff(FailureClass::kServer, member.failures);
    }
    member.exemption = ExemptionOf(member, now);
    if (member.request.empty()) member.request = absl::StrCat(++requests_);
    // The first of a name is as urgent as one that ends in a day.
    const absl::Time needed_by =
        member.present.has_value() ? member.present->not_after : kStart + kDay;
    const LimitBuckets::Turn turn =
        buckets_.Ask({member.request, member.request, needed_by}, DrawsOf(member), now);
    if (!turn.now) return turn.again;
    member.state = State::kOrdering;
    return now + Delay(absl::Seconds(30));
  }

  absl::Time Order(Member& member, absl::Time now) {
    ca_.PlaceOrder(member.names, member.exemption, now);
    buckets_.Placed(member.request, now);
    if (member.exemption != Exemption::kAdvised) {
      counted_.push_back(now);
      member.counted.push_back(now);
    }
    member.state = State::kValidating;
    return now + Delay(absl::Minutes(10));
  }

  absl::Time End(Member& member, int index, absl::Time now) {
    member.state = State::kIdle;
    if (IsBroken(index, now)) {
      ++failed_;
      member.was_broken = true;
      member.failed.push_back(now);
      ca_.FailValidation(member.names, now);
      buckets_.End(member.request, LimitBuckets::Outcome::kFailed,
                   {FailuresBucket("account", member.names.name)}, now);
      member.request.clear();
      return now + absl::Minutes(1);
    }
    ca_.Issue(member.names, member.exemption, now);
    buckets_.End(member.request, LimitBuckets::Outcome::kIssued, {}, now);
    if (member.present.has_value() && now > member.present->not_after &&
        IsUp(member.present->not_after) && !member.was_broken) {
      ++expired_;
    }
    member.failures = 0;
    member.was_broken = false;
    member.present = PresentCertificate{now - kHour, now - kHour + member.profile.lifetime};
    issued_.push_back(now);
    buckets_.ForgetOver(10, now);
    member.request.clear();
    member.renewal = RenewalOf(member);
    return member.renewal;
  }

  const std::vector<Outage> outages_;
  const RateLimits limits_ = PublishedLimits();
  std::vector<Member> members_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  LimitBuckets buckets_;
  LimitedCa ca_;
  int broken_ = 0;
  int64_t requests_ = 0;
  std::minstd_rand random_{1};
  // In order of time.
  std::vector<absl::Time> counted_;
  std::vector<absl::Time> issued_;
  int expired_ = 0;
  int failed_ = 0;
};

const std::vector<Outage> kOutages = {
    {40 * kDay, kHour}, {100 * kDay, 24 * kHour}, {200 * kDay, 72 * kHour}};

TEST(FleetSimulationTest, WithAdviceNoCertificateEndsBeforeItsSuccessorComes) {
  Fleet fleet({{45 * kDay, true}, {6 * kDay + 16 * kHour, true}}, kOutages);
  fleet.Run();
  EXPECT_EQ(fleet.expired(), 0);
  EXPECT_EQ(fleet.refused(), 0);
  // 5,000 of 45 days, renewed every 30 days, and as many of 160 hours, every 80 hours.
  EXPECT_GT(fleet.issued(), 5'000 * 12 + 5'000 * 105);
  EXPECT_LE(fleet.MostCountedIn(kLimit.window), 2 * kLimit.count);
}

TEST(FleetSimulationTest, WithoutAdviceTheLimitOnOrdersIsKeptAndNothingEnds) {
  Fleet fleet({{45 * kDay, false}}, kOutages);
  fleet.Run();
  EXPECT_EQ(fleet.expired(), 0);
  EXPECT_EQ(fleet.refused(), 0);
  EXPECT_GT(fleet.issued(), kCertificates * 11);
  // What the bucket holds, and what is given back meanwhile.
  EXPECT_LE(fleet.MostCountedIn(kLimit.window), 2 * kLimit.count);
  EXPECT_LE(fleet.MostCountedIn(kDay), 9 * kLimit.count);
  EXPECT_LE(fleet.MostCountedOfOneIn(7 * kDay), kSameNamesAWeek);
}

TEST(FleetSimulationTest, WithoutAdviceShortLifetimesKeepTheLimitsToo) {
  Fleet fleet({{45 * kDay, false}, {6 * kDay + 16 * kHour, false}}, kOutages);
  fleet.Run();
  EXPECT_EQ(fleet.expired(), 0);
  EXPECT_EQ(fleet.refused(), 0);
  EXPECT_GT(fleet.issued(), 5'000 * 11 + 5'000 * 100);
  EXPECT_LE(fleet.MostCountedIn(kLimit.window), 2 * kLimit.count);
  EXPECT_LE(fleet.MostCountedIn(kDay), 9 * kLimit.count);
  EXPECT_LE(fleet.MostCountedOfOneIn(7 * kDay), kSameNamesAWeek);
}

TEST(FleetSimulationTest, ACaWithTheLimitsOfLetsEncryptIsNeverAskedBeyondThem) {
  Fleet fleet({{45 * kDay, true}, {45 * kDay, false}}, kOutages);
  fleet.ShareADomain(500);
  fleet.BreakEvery(1000);
  fleet.Run();
  EXPECT_EQ(fleet.refused(), 0);
  EXPECT_EQ(fleet.expired(), 0);
  // Those of the one domain wait their turn for two months: 50, then one every 3.36 hours.
  EXPECT_EQ(fleet.without(), 0);
  EXPECT_GT(fleet.issued(), kCertificates * 10);
  EXPECT_GT(fleet.failed(), 5'000);
  EXPECT_EQ(fleet.MostFailedOfOneIn(kHour), 4);
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
