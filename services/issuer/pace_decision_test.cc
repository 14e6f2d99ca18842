// When a Certificate that needs an issuance gets none, or not yet: its pair is kept, others
// were begun lately, or the renewal is overdue.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "services/issuer/certificate_decision_testing.h"
#include "services/issuer/certificate_status.h"

namespace certwright::issuer_service {
namespace {

// A pair that was given last and is kept, while somebody else has written the Secret.
class PutBackTest : public testing::Test {
 protected:
  PutBackTest() {
    world_.kept = world_.secret;
    world_.kept_pair = world_.key_pair;
    world_.kept_pair.fingerprint = world_.key_pair.fingerprint = "given";
    world_.certificate.mutable_status()->set_sha256_fingerprint("given");
    world_.certificate.mutable_status()->set_revision(1);
  }
  World world_;
};

// Fault 99.
TEST_F(PutBackTest, WhateverIsWrongWithTheSecret) {
  const std::vector<std::pair<const char*, std::function<void(World&)>>> deeds = {
      {"DoesNotExist", [](World& world) { world.secret.reset(); }},
      {"MissingData",
       [](World& world) {
         world.key_pair.problem = {"MissingData", "gone"};
       }},
      {"InvalidKeyPair",
       [](World& world) {
         world.key_pair.problem = {"InvalidKeyPair", "not its key"};
       }},
      {"RequestChanged",
       [](World& world) { world.key_pair.names.dns_names.push_back("c.example"); }},
      {"Expired", [](World& world) { world.key_pair.not_after = kNow; }},
      {"IncorrectCertificate", [](World& world) { world.key_pair.fingerprint = "another"; }},
      {"Renewing",
       [](World& world) {
         world.key_pair.fingerprint = "another";
         world.key_pair.not_after = kNow + absl::Hours(1);
       }},
  };
  EXPECT_EQ(world_.Decide().action, CertificateAction::kReady);
  for (const auto& [reason, deed] : deeds) {
    World world = world_;
    deed(world);
    const CertificateDecision decision = world.Decide();
    EXPECT_EQ(decision.action, CertificateAction::kPutBack) << reason;
    EXPECT_EQ(decision.finding.reason, reason);
    // A request that is on its way goes on.
    world.AddRequest();
    EXPECT_EQ(world.Decide().action, CertificateAction::kPutBack) << reason;
  }
}

// Fault 99.
TEST_F(PutBackTest, NotTooOften) {
  world_.secret.reset();
  issuer::v1::SecretRepairs& repairs =
      *world_.certificate.mutable_status()->mutable_secret_repairs();
  repairs.set_count(3);
  *repairs.mutable_last_time() = service::ToProto(kNow);
  EXPECT_EQ(world_.Decide().action, CertificateAction::kBackOff);
  EXPECT_EQ(world_.Decide().at, kNow + absl::Seconds(4));
  EXPECT_EQ(world_.Decide(kNow + absl::Seconds(4)).action, CertificateAction::kPutBack);
}

// Fault 99.
TEST_F(PutBackTest, NotWhatDoesNotServe) {
  const std::vector<std::function<void(World&)>> spoils = {
      [](World& world) { world.kept_pair.not_after = kNow; },
      [](World& world) { world.kept_pair.names.dns_names.pop_back(); },
      [](World& world) {
        world.kept_pair.problem = {"InvalidKeyPair", "not its key"};
      },
      [](World& world) { world.SetRevoked(issuer::v1::REVOCATION_REASON_SUPERSEDED); },
      [](World& world) {
        world.certificate.mutable_spec()->mutable_issuer_ref()->set_name("new");
      },
  };
  world_.secret.reset();
  for (std::size_t i = 0; i < spoils.size(); ++i) {
    World world = world_;
    spoils[i](world);
    EXPECT_EQ(world.Decide().action, CertificateAction::kBegin) << i;
  }
  // What has come meanwhile is better.
  world_.AddRequest();
  world_.SetRequestReady(true, "Issued", "");
  EXPECT_EQ(world_.Decide().action, CertificateAction::kComplete);
}

// Whatever keeps its successor from coming.
TEST_F(PutBackTest, AlsoWhatIsToBeReplaced) {
  world_.secret.reset();
  World due = world_;
  due.SetAdvice(kNow);
  EXPECT_EQ(due.Decide().action, CertificateAction::kPutBack);
  World asked_for = world_;
  asked_for.SetIssuing(true, "ManuallyTriggered", 3);
  EXPECT_EQ(asked_for.Decide().action, CertificateAction::kPutBack);
}

// Fault 98.
TEST(DecideCertificateTest, EveryBeginningKeepsToThePace) {
  struct Case {
    const char* why;
    std::function<void(World&)> set;
    absl::Duration held;
  };
  const auto none = absl::ZeroDuration();
  const std::vector<Case> cases = {
      {"a lost Secret", [](World& world) { world.secret.reset(); }, absl::Minutes(1)},
      {"a changed spec",
       [](World& world) {
         world.certificate.mutable_spec()->add_dns_names("c.example");
         world.certificate.mutable_metadata()->set_generation(4);
       },
       none},
      {"a changed spec under way",
       [](World& world) {
         world.AddRequest();
         world.certificate.mutable_spec()->add_dns_names("c.example");
       },
       none},
      {"a call", [](World& world) { world.SetIssuing(true, "ManuallyTriggered", 3); }, none},
      {"a revocation",
       [](World& world) { world.SetRevoked(issuer::v1::REVOCATION_REASON_SUPERSEDED); }, none},
      {"advice", [](World& world) { world.SetAdvice(kNow); }, none},
  };
  for (const Case& test : cases) {
    World world;
    NoteIssuance(IssuanceCause::kAsked, 3, {}, kNow, *world.certificate.mutable_status());
    test.set(world);
    if (test.held > none) {
      EXPECT_EQ(world.Decide().action, CertificateAction::kBackOff) << test.why;
      EXPECT_EQ(world.Decide().at, kNow + test.held) << test.why;
      EXPECT_TRUE(world.Decide().paced) << test.why;
    }
    EXPECT_EQ(world.Decide(kNow + test.held).action, CertificateAction::kBegin) << test.why;
    for (int i = 0; i < 4; ++i) {
      NoteIssuance(IssuanceCause::kAsked, 3, {}, kNow, *world.certificate.mutable_status());
    }
    EXPECT_EQ(world.Decide(kNow + absl::Minutes(59)).action, CertificateAction::kBackOff)
        << test.why;
  }
}

// Fault 115.
TEST(DecideCertificateTest, AnOverdueRenewalIsPutOffForMinutesButNoOther) {
  World world;
  const absl::Time due = RenewalTimeOf(world.certificate, world.key_pair);
  EXPECT_EQ(world.Decide(due + absl::Minutes(1)).action, CertificateAction::kBegin);
  // In whole seconds, as statuses keep times a little less exactly than clocks tell them.
  const absl::Time late = absl::FromUnixSeconds(absl::ToUnixSeconds(due)) + absl::Hours(24);
  const CertificateDecision decision = world.Decide(late);
  EXPECT_EQ(decision.action, CertificateAction::kReady);
  EXPECT_TRUE(decision.overdue);
  EXPECT_GT(decision.at, late + absl::Minutes(2));
  EXPECT_LE(decision.at, late + absl::Minutes(10));
  // What was noted counts, also later.
  *world.certificate.mutable_status()->mutable_overdue_renewal_time() =
      service::ToProto(late + absl::Minutes(3));
  EXPECT_EQ(world.Decide(late + absl::Minutes(2)).at, late + absl::Minutes(3));
  EXPECT_EQ(world.Decide(late + absl::Minutes(3)).action, CertificateAction::kBegin);
  // One that is on its way, or was tried, is not put off.
  world.certificate.mutable_status()->clear_overdue_renewal_time();
  world.certificate.mutable_status()->set_failed_issuance_attempts(1);
  EXPECT_EQ(world.Decide(late).action, CertificateAction::kBegin);
  world.certificate.mutable_status()->clear_failed_issuance_attempts();
  world.AddRequest();
  EXPECT_EQ(world.Decide(late).action, CertificateAction::kWait);
  world.request.reset();
  world.SetIssuing(true, "ManuallyTriggered", 3);
  EXPECT_EQ(world.Decide(late).action, CertificateAction::kBegin);
}

// Fault 98.
TEST(DecideCertificateTest, TurnsToNoOtherIssuerBeyondThePace) {
  World world;
  world.SetAdvice(kNow);
  world.AddRequest();
  world.certificate.mutable_spec()->add_fallback_issuer_refs()->set_name("second");
  for (int i = 0; i < 5; ++i) {
    NoteIssuance(IssuanceCause::kAsked, 3, {}, kNow, *world.certificate.mutable_status());
  }
  world.SetRequestReady(false, "ServerUnavailable", "no answer");
  service::SetCondition(*world.request->mutable_status()->mutable_conditions(),
                        {"IssuerAvailable", false, "ServerUnavailable", ""}, 1,
                        kNow - absl::Hours(1));
  EXPECT_EQ(world.Decide().action, CertificateAction::kWait);
  EXPECT_EQ(world.Decide().at, kNow + absl::Hours(1));
  world.SetRequestReady(false, "Failed", "not these names");
  world.request->mutable_status()->add_failure_types("rejectedIdentifier");
  EXPECT_EQ(world.Decide().action, CertificateAction::kFail);
}

// The later of the two holds it, and is what its status tells.
TEST(DecideCertificateTest, BothThePaceAndTheFailuresHoldABeginning) {
  struct Case {
    absl::Duration after_failure;
    bool paced;
    absl::Duration held;
  };
  for (const Case& test : {
           Case{absl::Seconds(30), true, absl::Minutes(1)},
           Case{absl::Minutes(1), false, absl::Minutes(1)},
           Case{absl::Minutes(5), false, absl::Minutes(5)},
       }) {
    World world;
    world.secret.reset();
    issuer::v1::CertificateStatus& status = *world.certificate.mutable_status();
    NoteIssuance(IssuanceCause::kAsked, 3, {}, kNow, status);
    world.SetIssuing(false, "Failed", 3);
    *status.mutable_next_attempt_time() = service::ToProto(kNow + test.after_failure);
    const CertificateDecision decision = world.Decide();
    EXPECT_EQ(decision.action, CertificateAction::kBackOff) << test.after_failure;
    EXPECT_EQ(decision.at, kNow + test.held) << test.after_failure;
    EXPECT_EQ(decision.paced, test.paced) << test.after_failure;
    EXPECT_EQ(world.Decide(kNow + test.held).action, CertificateAction::kBegin);
  }
}

// Fault 115.
TEST(OverdueWaitTest, OnlyACertificateThatServesAndIsOverdueWaits) {
  struct Case {
    const char* why;
    std::function<void(issuer::v1::CertificateStatus&)> change;
    bool waits;
  };
  const auto set_ready = [](bool ready) {
    return [ready](issuer::v1::CertificateStatus& status) {
      service::SetCondition(*status.mutable_conditions(), {"Ready", ready, "", ""}, 3, kNow);
    };
  };
  const auto renew_at = [](absl::Time time) {
    return [time](issuer::v1::CertificateStatus& status) {
      *status.mutable_renewal_time() = service::ToProto(time);
    };
  };
  const std::vector<Case> cases = {
      {"overdue", [](auto&) {}, true},
      {"not ready", set_ready(false), false},
      {"of unknown readiness", [](auto& status) { status.clear_conditions(); }, false},
      {"without a time", [](auto& status) { status.clear_renewal_time(); }, false},
      {"just due", renew_at(kNow - absl::Minutes(1)), false},
      {"due later", renew_at(kNow + absl::Hours(1)), false},
      {"ended", [](auto& status) { *status.mutable_not_after() = service::ToProto(kNow); },
       false},
  };
  for (const Case& test : cases) {
    World world;
    issuer::v1::CertificateStatus& status = *world.certificate.mutable_status();
    *status.mutable_not_before() = service::ToProto(kNow - 60 * kDay);
    *status.mutable_not_after() = service::ToProto(kNow + 30 * kDay);
    renew_at(kNow - absl::Hours(1))(status);
    set_ready(true)(status);
    test.change(status);
    const absl::Duration wait = OverdueWait(world.certificate, kNow);
    EXPECT_EQ(wait > absl::Minutes(4), test.waits) << test.why;
    EXPECT_LE(wait, test.waits ? absl::Minutes(10) : absl::ZeroDuration()) << test.why;
  }
}

}  // namespace
}  // namespace certwright::issuer_service
