// How often a Certificate is issued, whatever its CA, its users and others do: years of one
// Certificate after another, by the decisions alone.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/service/conditions.h"
#include "services/issuer/certificate_decision.h"
#include "services/issuer/certificate_status.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::Secret;

constexpr absl::Duration kMinute = absl::Minutes(1);
constexpr absl::Duration kHour = absl::Hours(1);
constexpr absl::Duration kDay = absl::Hours(24);
const absl::Time kStart = absl::FromUnixSeconds(1767323045);

// What a CA gives.
struct Ca {
  absl::Duration lifetime = 90 * kDay;
  absl::Duration backdating = {};
  // Its own end, which no certificate outlives.
  absl::Time end = absl::InfiniteFuture();
  // Where in what is left of a certificate the window that it suggests begins and ends, and how
  // soon it is asked.
  std::optional<std::pair<double, double>> window = {};
  absl::Duration asked_after = absl::Seconds(30);
};

struct Issuance {
  absl::Time begun;
  absl::Time not_after;
};

// One Certificate, of which others may do what they like to the Secret, between steps.
class Life {
 public:
  explicit Life(const Ca& ca, const std::string& uid = "uid") : ca_(ca) {
    certificate_.mutable_metadata()->set_namespace_("web");
    certificate_.mutable_metadata()->set_name("site");
    certificate_.mutable_metadata()->set_uid(uid);
    certificate_.mutable_metadata()->set_generation(1);
    certificate_.mutable_spec()->set_secret_name("site-tls");
    certificate_.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    certificate_.mutable_spec()->add_dns_names("a.example");
    rpc::Violations violations;
    ValidateCertificate(certificate_, violations);
    EXPECT_TRUE(violations.empty());
  }

  issuer::v1::CertificateSpec& spec() { return *certificate_.mutable_spec(); }
  const Certificate& certificate() const { return certificate_; }
  absl::Time now() const { return now_; }
  const std::vector<absl::Time>& begun() const { return begun_; }
  const std::vector<Issuance>& issued() const { return issued_; }

  void ChangeSpec() {
    certificate_.mutable_metadata()->set_generation(certificate_.metadata().generation() + 1);
    spec().set_dns_names(0, absl::StrCat(certificate_.metadata().generation(), ".example"));
  }
  void LoseSecret() { has_secret_ = false; }
  void AskForRenewal() {
    service::SetCondition(*certificate_.mutable_status()->mutable_conditions(),
                          {"Issuing", true, "ManuallyTriggered", ""},
                          certificate_.metadata().generation(), now_);
  }
  void FailNext() { fails_next_ = true; }

  // Does what is to be done, at every moment at which there is something, until `end` or until
  // so many issuances were begun.
  void RunUntil(absl::Time end, std::size_t most = SIZE_MAX) {
    while (now_ < end && begun_.size() < most) {
      const std::size_t before = begun_.size();
      const absl::Time next = std::min({Step(), NextAdvice(), end});
      ASSERT_TRUE(next > now_ || begun_.size() > before || now_ >= NextAdvice())
          << "waits until " << next << " at " << now_ << " of " << certificate_.metadata().uid()
          << ": " << certificate_.ShortDebugString();
      now_ = std::max(now_, next);
      if (now_ >= NextAdvice()) TakeAdvice();
    }
  }

 private:
  // When there is something to do next, as far as the Certificate itself knows.
  absl::Time Step() {
    CertificateSnapshot snapshot;
    snapshot.certificate = &certificate_;
    snapshot.secret = has_secret_ ? &secret_ : nullptr;
    snapshot.key_pair = has_secret_ ? &present_ : nullptr;
    const CertificateDecision decision = DecideCertificate(snapshot, {}, {}, now_);
    if (decision.action != CertificateAction::kBegin) {
      if (decision.action == CertificateAction::kReady) {
        NoteOverdue(decision, *certificate_.mutable_status());
      }
      return decision.at;
    }
    begun_.push_back(now_);
    Issue(decision);
    return now_;
  }
  void Issue(const CertificateDecision& decision) {
    issuer::v1::CertificateStatus& status = *certificate_.mutable_status();
    NoteIssuance(decision.cause, certificate_.metadata().generation(), {}, now_, status);
    if (std::exchange(fails_next_, false)) {
      status.set_failed_issuance_attempts(status.failed_issuance_attempts() + 1);
      *status.mutable_last_failure_time() = service::ToProto(now_);
      *status.mutable_next_attempt_time() =
          service::ToProto(NextAttemptAfter({}, status.failed_issuance_attempts(), now_));
      service::SetCondition(*status.mutable_conditions(), {"Issuing", false, "Failed", ""},
                            certificate_.metadata().generation(), now_);
      return;
    }
    service::SetCondition(*status.mutable_conditions(),
                          {"Issuing", true, decision.finding.reason, ""},
                          certificate_.metadata().generation(), now_);
    status.set_renewed_early(has_secret_ && IsRenewedEarly(certificate_, present_, now_));
    *status.mutable_issuance_time() = service::ToProto(now_);
    service::RemoveCondition(*status.mutable_conditions(), "Issuing");
    status.clear_failed_issuance_attempts();
    status.clear_next_attempt_time();
    status.set_revision(status.revision() + 1);
    Write();
    NoteGiven(present_, status);
    issued_.push_back({now_, present_.not_after});
    status.clear_renewal_info();
    advised_ = false;
  }
  void Write() {
    present_ = KeyPairFacts();
    present_.not_before = now_ - ca_.backdating;
    present_.not_after = std::min(present_.not_before + ca_.lifetime, ca_.end);
    present_.names.dns_names = {spec().dns_names(0)};
    present_.fingerprint = absl::StrCat(begun_.size());
    present_.certificate_id = present_.fingerprint;
    secret_ = Secret();
    auto& annotations = *secret_.mutable_metadata()->mutable_annotations();
    annotations[kCertificateNameAnnotation] = "site";
    annotations[kIssuerNameAnnotation] = "ca";
    annotations[kIssuerKindAnnotation] = "Issuer";
    has_secret_ = true;
  }
  absl::Time IssuedAt() const {
    return service::FromProto(certificate_.status().issuance_time());
  }
  absl::Time NextAdvice() const {
    const bool comes = ca_.window.has_value() && !advised_ && has_secret_;
    return comes ? IssuedAt() + ca_.asked_after : absl::InfiniteFuture();
  }
  void TakeAdvice() {
    const absl::Duration left = present_.not_after - IssuedAt();
    const double part = (ca_.window->first + ca_.window->second) / 2;
    issuer::v1::RenewalInfo& info = *certificate_.mutable_status()->mutable_renewal_info();
    info.set_certificate_id(present_.certificate_id);
    *info.mutable_selected_time() = service::ToProto(IssuedAt() + left * part);
    *info.mutable_suggested_time() = service::ToProto(now_);
    advised_ = true;
  }

  const Ca ca_;
  absl::Time now_ = kStart;
  Certificate certificate_;
  bool has_secret_ = false;
  bool advised_ = false;
  bool fails_next_ = false;
  Secret secret_;
  KeyPairFacts present_;
  std::vector<absl::Time> begun_;
  std::vector<Issuance> issued_;
};

int CountBetween(const std::vector<absl::Time>& times, absl::Time from, absl::Time to) {
  return static_cast<int>(std::count_if(
      times.begin(), times.end(), [&](absl::Time time) { return time >= from && time < to; }));
}

int MostIn(const std::vector<absl::Time>& times, absl::Duration span) {
  int most = 0;
  for (const absl::Time time : times) {
    most = std::max(most, CountBetween(times, time, time + span));
  }
  return most;
}

class Draws {
 public:
  explicit Draws(unsigned seed) : random_(seed) {}
  double Uniform(double from, double to) {
    return std::uniform_real_distribution<>(from, to)(random_);
  }
  // Each order of magnitude as often as the others.
  absl::Duration Time(absl::Duration from, absl::Duration to) {
    const double exponent =
        Uniform(std::log(absl::ToDoubleSeconds(from)), std::log(absl::ToDoubleSeconds(to)));
    return absl::Seconds(std::floor(std::exp(exponent)));
  }
  int Upto(int most) { return std::uniform_int_distribution<>(0, most)(random_); }

 private:
  std::mt19937 random_;
};

struct Case {
  Ca ca;
  issuer::v1::CertificateSpec renewal;
  std::string uid;
};

// Lifetimes of which at least 20 minutes are left, so that one issuance in a quarter of an hour
// is enough.
Case DrawCase(unsigned seed) {
  Draws draws(seed);
  Case c;
  c.uid = absl::StrCat("uid-", seed);
  const absl::Duration left = draws.Time(20 * kMinute, 400 * kDay);
  switch (draws.Upto(3)) {
    case 0:
      break;
    case 1:
      c.ca.backdating = absl::Seconds(30);
      break;
    case 2:
      c.ca.backdating = kHour;
      break;
    default:
      c.ca.backdating = draws.Time(kMinute, 400 * kDay);
  }
  c.ca.lifetime = left + c.ca.backdating;
  switch (draws.Upto(3)) {
    case 0:
      break;
    case 1:
      c.renewal.set_renew_before_percentage(1 + draws.Upto(98));
      break;
    case 2:
      c.renewal.mutable_renew_before()->set_seconds(
          absl::ToInt64Seconds(draws.Time(5 * kMinute, 800 * kDay)));
      break;
    default:
      // Near to what there is.
      c.renewal.mutable_renew_before()->set_seconds(std::max<int64_t>(
          300, absl::ToInt64Seconds(c.ca.lifetime * draws.Uniform(0.9, 1.1))));
  }
  if (draws.Upto(2) == 0) {
    const double begin = draws.Uniform(-1, 2);
    c.ca.window = {begin, begin + draws.Uniform(0, 0.5)};
  }
  return c;
}

// Fault 98.
TEST(CertificatePaceTest, AtMostOneIssuanceInTheFirstTenthAndAlwaysOneBeforeTheEnd) {
  for (unsigned seed = 0; seed < 1'000; ++seed) {
    const Case c = DrawCase(seed);
    Life life(c.ca, c.uid);
    life.spec().MergeFrom(c.renewal);
    life.RunUntil(absl::InfiniteFuture(), 6);
    const std::vector<Issuance>& issued = life.issued();
    for (std::size_t i = 0; i + 1 < issued.size(); ++i) {
      const auto [begun, not_after] = issued[i];
      EXPECT_LT(issued[i + 1].begun, not_after) << seed;
      const absl::Time tenth = begun + (not_after - begun) / 10;
      EXPECT_LE(CountBetween(life.begun(), begun + absl::Nanoseconds(1), tenth), 1) << seed;
    }
    EXPECT_LE(MostIn(life.begun(), kHour), 5) << seed;
    if (HasFailure()) return;
  }
}

// Fault 98.
TEST(CertificatePaceTest, SoItIsWhereTheCaEndsAsLongAsItHasMoreToGive) {
  for (unsigned seed = 0; seed < 1'000; ++seed) {
    Case c = DrawCase(seed);
    Draws draws(~seed);
    c.ca.end = kStart + (c.ca.lifetime - c.ca.backdating) * draws.Uniform(0.5, 3);
    if (seed % 3 == 0) {
      c.renewal.mutable_renew_before()->set_seconds(std::max<int64_t>(
          300, absl::ToInt64Seconds((c.ca.end - kStart) / draws.Uniform(1, 1.1))));
    }
    Life life(c.ca, c.uid);
    life.spec().MergeFrom(c.renewal);
    life.RunUntil(c.ca.end, 6);
    const std::vector<Issuance>& issued = life.issued();
    ASSERT_FALSE(issued.empty()) << seed;
    for (std::size_t i = 0; i < issued.size(); ++i) {
      const auto [begun, not_after] = issued[i];
      const absl::Time tenth = begun + (not_after - begun) / 10;
      EXPECT_LE(CountBetween(life.begun(), begun + absl::Nanoseconds(1), tenth), 1) << seed;
      if (not_after == c.ca.end || life.begun().size() == 6) continue;
      ASSERT_LT(i + 1, issued.size()) << seed;
      EXPECT_LT(issued[i + 1].begun, not_after) << seed;
    }
    EXPECT_LE(MostIn(life.begun(), kHour), 5) << seed;
    if (HasFailure()) return;
  }
}

// Fault 98.
TEST(CertificatePaceTest, ACaThatEndsIsAskedEverMoreRarelyForWhatItCannotGive) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    Draws draws(seed);
    Ca ca;
    ca.end = kStart + draws.Time(kMinute, 100 * kDay);
    Life life(ca, absl::StrCat(seed));
    if (seed % 2 == 0) {
      life.spec().mutable_renew_before()->set_seconds(std::max<int64_t>(
          300, absl::ToInt64Seconds((ca.end - kStart) / draws.Uniform(1, 1.1))));
    }
    life.RunUntil(ca.end);
    EXPECT_LE(MostIn(life.begun(), kHour), 5) << seed;
    // Each time a third of what was left before, at most, is left.
    EXPECT_LE(life.begun().size(), 20u) << seed;
    if (life.begun().size() > 1) {
      EXPECT_GE(life.begun()[1] - kStart, (ca.end - kStart) * 0.3) << seed;
    }
  }
}

// Fault 98.
TEST(CertificatePaceTest, WhatEverHappensThereAreFiveAnHourAndFewerAfterwards) {
  const std::vector<std::function<void(Life&)>> troubles = {
      [](Life& life) { life.LoseSecret(); },
      [](Life& life) { life.ChangeSpec(); },
      [](Life& life) { life.AskForRenewal(); },
      [](Life& life) { life.FailNext(); },
      [](Life& life) {
        life.FailNext();
        life.ChangeSpec();
      },
      [](Life&) {},
  };
  // Each trouble alone, then all of them by chance.
  for (unsigned seed = 0; seed < 30; ++seed) {
    Draws draws(seed);
    Ca ca;
    if (seed % 3 == 1) ca.window = {-1, -0.5};
    if (seed % 3 == 2) ca.lifetime = absl::Minutes(5);
    Life life(ca);
    const absl::Duration every = draws.Time(absl::Seconds(30), 10 * kMinute);
    while (life.now() < kStart + 2 * kDay) {
      const auto trouble =
          seed < troubles.size()
              ? seed
              : static_cast<std::size_t>(draws.Upto(static_cast<int>(troubles.size()) - 1));
      troubles[trouble](life);
      life.RunUntil(life.now() + every);
    }
    EXPECT_GE(life.begun().size(), 1u) << seed;
    EXPECT_LE(MostIn(life.begun(), kHour), 5) << seed;
    EXPECT_LE(MostIn(life.begun(), kDay), 10) << seed;
  }
}

// Fault 98.
TEST(CertificatePaceTest, AChangedSpecIsIssuedAtOnce) {
  Life life({});
  life.RunUntil(kStart + kDay);
  for (int change = 1; change <= 4; ++change) {
    life.ChangeSpec();
    const absl::Time changed = life.now();
    life.RunUntil(changed + kMinute);
    EXPECT_EQ(life.begun().back(), changed) << change;
  }
}

// Fault 98.
TEST(CertificatePaceTest, AnAdvisedRenewalInTheFirstTenthIsAtOnceAndTheNextAfterIt) {
  Ca ca;
  ca.window = {-1, -0.5};
  Life life(ca);
  life.RunUntil(kStart + kHour);
  ASSERT_EQ(life.begun().size(), 2u);
  EXPECT_LT(life.begun()[1] - kStart, kMinute);
  life.RunUntil(kStart + 30 * kDay);
  // Two every nine days.
  EXPECT_EQ(life.begun().size(), 8u);
}

}  // namespace
}  // namespace certwright::issuer_service
