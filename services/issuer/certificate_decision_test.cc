#include "services/issuer/certificate_decision.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/test_ca.h"
#include "lib/service/conditions.h"
#include "services/issuer/certificate_decision_testing.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using issuer::v1::CertificateSpec;
using issuer::v1::Secret;

TEST(FindReasonToIssueTest, FindsEachReason) {
  struct Case {
    const char* reason;
    std::function<void(World&)> spoil;
  };
  const auto annotate = [](const char* key, const char* value) {
    return [=](World& world) {
      (*world.secret->mutable_metadata()->mutable_annotations())[key] = value;
    };
  };
  const std::vector<Case> cases = {
      {"", [](World&) {}},
      {"DoesNotExist", [](World& world) { world.secret.reset(); }},
      {"MissingData",
       [](World& world) {
         world.key_pair.problem = {"MissingData", "gone"};
       }},
      {"SecretMismatch",
       [](World& world) {
         world.certificate.mutable_spec()->mutable_private_key()->set_size(384);
       }},
      {"IncorrectCertificate", annotate(kCertificateNameAnnotation, "other")},
      {"IncorrectCertificate",
       [](World& world) { world.secret->mutable_metadata()->clear_annotations(); }},
      {"IncorrectIssuer", annotate(kIssuerNameAnnotation, "other")},
      {"IncorrectIssuer", annotate(kIssuerKindAnnotation, "ClusterIssuer")},
      {"RequestChanged",
       [](World& world) { world.certificate.mutable_spec()->add_dns_names("c.example"); }},
      {"RequestChanged",
       [](World& world) { world.key_pair.names.dns_names.push_back("c.example"); }},
      {"Expired", [](World& world) { world.key_pair.not_after = kNow; }},
      {"Renewing", [](World& world) { world.key_pair.not_after = kNow + absl::Hours(1); }},
      {"ManuallyTriggered",
       [](World& world) { world.SetIssuing(true, "ManuallyTriggered", 3); }},
      {"Revoked",
       [](World& world) { world.SetRevoked(issuer::v1::REVOCATION_REASON_SUPERSEDED); }},
      {"",
       [](World& world) {
         world.SetRevoked(issuer::v1::REVOCATION_REASON_SUPERSEDED);
         world.key_pair.serial_number = "0b";
       }},
      {"",
       [](World& world) {
         world.certificate.mutable_spec()->mutable_issuer_ref()->set_name("new");
         world.certificate.mutable_spec()->add_fallback_issuer_refs()->set_name("ca");
       }},
      {"Renewing", [](World& world) { world.SetAdvice(kNow); }},
      {"", [](World& world) { world.SetAdvice(kNow + absl::Seconds(1)); }},
      {"", [](World& world) { world.SetIssuing(false, "ManuallyTriggered", 3); }},
      {"", [](World& world) { world.SetIssuing(true, "Renewing", 3); }},
  };
  for (const Case& test : cases) {
    World world;
    test.spoil(world);
    EXPECT_EQ(world.Reason(), test.reason) << world.certificate.DebugString();
  }
}

TEST(FindReasonToIssueTest, RenewsFromTheMomentOfRenewalOn) {
  const World world;
  const absl::Time renewal = RenewalTimeOf(world.certificate, world.key_pair);
  EXPECT_GE(renewal, kNow + 56 * kDay);
  EXPECT_LE(renewal, kNow + 59 * kDay);
  EXPECT_EQ(world.Reason(renewal - absl::Seconds(1)), "");
  EXPECT_EQ(world.Reason(renewal), "Renewing");
}

TEST(RenewalTimeOfTest, TakesAdviceOnlyAboutThisVeryCertificate) {
  World world;
  world.SetAdvice(kNow + 7 * kDay);
  EXPECT_EQ(RenewalTimeOf(world.certificate, world.key_pair), kNow + 7 * kDay);
  world.key_pair.certificate_id = "aki.other";
  EXPECT_GE(RenewalTimeOf(world.certificate, world.key_pair), kNow + 56 * kDay);
}

TEST(NextAttemptAfterTest, DependsOnWhatWentWrong) {
  struct Case {
    std::vector<std::string> types;
    const char* condition;
    absl::Duration retry_after;
    absl::Duration first;
    absl::Duration tenth;
  };
  const absl::Duration hour = absl::Hours(1);
  for (const Case& test : {
           Case{{}, "Ready", {}, absl::Minutes(1), 6 * hour},
           Case{{"serverInternal"}, "Ready", {}, absl::Minutes(1), 6 * hour},
           Case{{"unauthorized"}, "Ready", {}, absl::Minutes(1), 6 * hour},
           Case{{"rejectedIdentifier"}, "Ready", {}, hour, 32 * hour},
           Case{{"dns", "caa"}, "Ready", {}, hour, 32 * hour},
           Case{{}, "Denied", {}, hour, 32 * hour},
           Case{{"rateLimited"}, "Ready", 2 * hour, 2 * hour, 6 * hour},
           Case{{"rateLimited"}, "Ready", 1000 * hour, 168 * hour, 168 * hour},
       }) {
    World world;
    world.AddRequest();
    world.SetRequestReady(false, "Failed", "no");
    auto& status = *world.request->mutable_status();
    service::SetCondition(
        *status.mutable_conditions(),
        {test.condition, test.condition == std::string("Denied"), "Failed", ""}, 1, kNow);
    status.mutable_failure_types()->Assign(test.types.begin(), test.types.end());
    if (test.retry_after > absl::ZeroDuration()) {
      *status.mutable_retry_time() = service::ToProto(kNow + test.retry_after);
    }
    EXPECT_EQ(NextAttemptAfter(*world.request, 1, kNow), kNow + test.first)
        << status.DebugString();
    EXPECT_EQ(NextAttemptAfter(*world.request, 10, kNow), kNow + test.tenth)
        << status.DebugString();
  }
}

TEST(DecideCertificateTest, IsReadyUntilRenewal) {
  const CertificateDecision decision = World().Decide();
  const World world;
  EXPECT_EQ(decision.action, CertificateAction::kReady);
  EXPECT_EQ(decision.at, RenewalTimeOf(world.certificate, world.key_pair));
}

TEST(DecideCertificateTest, BeginsWithTheReason) {
  World world;
  world.secret.reset();
  const CertificateDecision decision = world.Decide();
  EXPECT_EQ(decision.action, CertificateAction::kBegin);
  EXPECT_EQ(decision.finding.reason, "DoesNotExist");
}

TEST(DecideCertificateTest, IsBlockedByAnotherOwnerWhateverElseIsTrue) {
  for (const bool exists : {true, false}) {
    World world;
    if (!exists) world.secret.reset();
    if (exists) {
      (*world.secret->mutable_metadata()->mutable_annotations())[kCertificateNameAnnotation] =
          "other";
    }
    world.secret_users = {{SecretUse::kTarget, "web/other", absl::InfinitePast()}};
    const CertificateDecision decision = world.Decide();
    EXPECT_EQ(decision.action, CertificateAction::kBlocked);
    EXPECT_EQ(decision.finding.reason, "IncorrectCertificate");
    EXPECT_THAT(decision.finding.message, testing::HasSubstr("other"));
  }
}

// Fault 101.
TEST(DecideCertificateTest, ARequestWithoutItsKeyHasFailedUnlessTheSpecIsAnotherOne) {
  World world;
  world.secret.reset();
  world.AddRequest();
  world.has_next_key = false;
  for (const bool issued : {false, true}) {
    if (issued) world.SetRequestReady(true, "Issued", "");
    EXPECT_EQ(world.Decide().action, CertificateAction::kFail);
    EXPECT_EQ(world.Decide().finding.reason, "NextKeyLost");
  }
  world.certificate.mutable_spec()->add_dns_names("c.example");
  EXPECT_EQ(world.Decide().action, CertificateAction::kBegin);
}

TEST(DecideCertificateTest, ASecretThatWasNotMadeForACertificateIsLeftAlone) {
  World world;
  world.secret->mutable_metadata()->clear_annotations();
  EXPECT_EQ(world.Decide().action, CertificateAction::kBlocked);
  EXPECT_EQ(world.Decide().finding.reason, "SecretNotOwned");
  world.AddRequest();
  world.SetRequestReady(true, "Issued", "");
  EXPECT_EQ(world.Decide().action, CertificateAction::kBlocked);
  // Not even where a Certificate that is gone has left it, until it is handed over.
  auto& annotations = *world.secret->mutable_metadata()->mutable_annotations();
  annotations[kCertificateNameAnnotation] = "old";
  EXPECT_EQ(world.Decide().finding.reason, "SecretNotOwned");
  annotations[kAllowCertificateAnnotation] = world.certificate.metadata().name();
  EXPECT_EQ(world.Decide().action, CertificateAction::kComplete);
}

TEST(DecideCertificateTest, FollowsItsRequest) {
  struct Case {
    const char* why;
    std::function<void(World&)> set;
    CertificateAction action;
    const char* reason;
  };
  const auto ready = [](bool status, const char* reason) {
    return [=](World& world) { world.SetRequestReady(status, reason, "as told"); };
  };
  const std::vector<Case> cases = {
      {"new", [](World&) {}, CertificateAction::kWait, "DoesNotExist"},
      {"pending", ready(false, "Pending"), CertificateAction::kWait, "DoesNotExist"},
      {"no solver", ready(false, "NoSolver"), CertificateAction::kWait, "NoSolver"},
      {"no issuer", ready(false, "IssuerNotFound"), CertificateAction::kWait, "IssuerNotFound"},
      {"not ready", ready(false, "IssuerNotReady"), CertificateAction::kWait, "IssuerNotReady"},
      {"no account", ready(false, "AccountDoesNotExist"), CertificateAction::kWait,
       "AccountDoesNotExist"},
      {"new terms", ready(false, "UserActionRequired"), CertificateAction::kWait,
       "UserActionRequired"},
      {"issued", ready(true, "Issued"), CertificateAction::kComplete, ""},
      {"failed", ready(false, "Failed"), CertificateAction::kFail, "Failed"},
      {"denied", ready(false, "Denied"), CertificateAction::kFail, "Denied"},
      {"spec changed",
       [](World& world) {
         world.SetRequestReady(true, "Issued", "");
         world.certificate.mutable_spec()->add_dns_names("c.example");
       },
       CertificateAction::kBegin, "RequestChanged"},
  };
  for (const Case& test : cases) {
    World world;
    world.secret.reset();
    world.AddRequest();
    test.set(world);
    const CertificateDecision decision = world.Decide();
    EXPECT_EQ(decision.action, test.action) << test.why;
    EXPECT_EQ(decision.finding.reason, test.reason) << test.why;
  }
}

TEST(DecideCertificateTest, PassesOnWhatTheRequestSays) {
  World world;
  world.secret.reset();
  world.AddRequest();
  world.SetRequestReady(false, "Pending", "Waiting for DNS.");
  EXPECT_EQ(world.Decide().finding.message, "Waiting for DNS.");
  world.SetRequestReady(false, "Failed", "Refused.");
  EXPECT_EQ(world.Decide().finding.message, "Refused.");
}

TEST(DecideCertificateTest, ThePresentKeyPairServesWhileItsSuccessorIsOnTheWay) {
  struct Case {
    const char* why;
    std::function<void(World&)> spoil;
    bool serves;
  };
  const std::vector<Case> cases = {
      {"renewal", [](World& world) { world.SetAdvice(kNow); }, true},
      {"asked for", [](World& world) { world.SetIssuing(true, "ManuallyTriggered", 3); }, true},
      {"expired", [](World& world) { world.key_pair.not_after = kNow; }, false},
      {"other names",
       [](World& world) { world.certificate.mutable_spec()->add_dns_names("c.example"); },
       false},
      {"revoked",
       [](World& world) {
         world.SetRevoked(issuer::v1::REVOCATION_REASON_SUPERSEDED);
         world.SetIssuing(true, "ManuallyTriggered", 3);
       },
       false},
  };
  for (const Case& test : cases) {
    for (const char* reason : {"", "IssuerNotReady", "Failed"}) {
      World world;
      test.spoil(world);
      EXPECT_EQ(world.Decide().present_serves, test.serves) << test.why;
      world.AddRequest();
      if (*reason != 0) world.SetRequestReady(false, reason, "as told");
      EXPECT_EQ(world.Decide().present_serves, test.serves) << test.why << " " << reason;
    }
  }
}

TEST(DecideCertificateTest, NothingFollowsNamesThatAreNoLongerServed) {
  World world;
  world.SetRevoked(issuer::v1::REVOCATION_REASON_CESSATION_OF_OPERATION);
  EXPECT_EQ(world.Decide().action, CertificateAction::kBlocked);
  EXPECT_EQ(world.Decide().finding.reason, "Revoked");
  world.SetIssuing(true, "ManuallyTriggered", 3);
  EXPECT_EQ(world.Decide().action, CertificateAction::kBegin);
}

class FallBackTest : public testing::Test {
 protected:
  FallBackTest() {
    world_.SetAdvice(kNow);
    world_.AddRequest();
    world_.certificate.mutable_spec()->add_fallback_issuer_refs()->set_name("second");
  }
  void LoseIssuer(absl::Duration since) {
    world_.SetRequestReady(false, "ServerUnavailable", "no answer");
    service::SetCondition(*world_.request->mutable_status()->mutable_conditions(),
                          {"IssuerAvailable", false, "ServerUnavailable", ""}, 1, kNow - since);
  }
  World world_;
};

// Fault 10.
TEST_F(FallBackTest, TurnsToTheNextIssuerWhenOneWasOutOfReachForLongEnough) {
  LoseIssuer(absl::Seconds(30));
  EXPECT_EQ(world_.Decide().action, CertificateAction::kWait);
  EXPECT_EQ(world_.Decide().at, kNow + absl::Seconds(90));
  const CertificateDecision decision = world_.Decide(kNow + absl::Seconds(90));
  EXPECT_EQ(decision.action, CertificateAction::kFallBack);
  EXPECT_EQ(decision.finding.reason, "Renewing");
  EXPECT_EQ(decision.trouble.reason, "no answer");
}

TEST_F(FallBackTest, StaysWhereThereIsNoOtherIssuer) {
  LoseIssuer(absl::Hours(1));
  world_.certificate.mutable_spec()->clear_fallback_issuer_refs();
  EXPECT_EQ(world_.Decide().action, CertificateAction::kWait);
  EXPECT_EQ(world_.Decide().at, absl::InfiniteFuture());
}

TEST_F(FallBackTest, WaitsForTheOtherIssuerIfThatIsPassedOverToo) {
  LoseIssuer(absl::Hours(1));
  meta::v1::IssuerRef second;
  second.set_name("second");
  AddOutage(second, {kNow, kNow + absl::Minutes(4), "away"}, kNow,
            *world_.certificate.mutable_status());
  EXPECT_EQ(world_.Decide().action, CertificateAction::kWait);
  EXPECT_EQ(world_.Decide().at, kNow + absl::Minutes(4));
}

TEST_F(FallBackTest, TurnsAtOnceWhereTheNamesWereRefused) {
  world_.SetRequestReady(false, "Failed", "not these names");
  world_.request->mutable_status()->add_failure_types("rejectedIdentifier");
  EXPECT_EQ(world_.Decide().action, CertificateAction::kFallBack);
}

// Fault 78.
TEST_F(FallBackTest, NeverForAProofOfOurOwnThatFailed) {
  world_.SetRequestReady(false, "Failed", "no such record");
  world_.request->mutable_status()->add_failure_types("dns");
  EXPECT_EQ(world_.Decide().action, CertificateAction::kFail);
}

class BackOffTest : public testing::Test {
 protected:
  BackOffTest() {
    world_.secret.reset();
    world_.SetIssuing(false, "Failed", 3);
    *world_.certificate.mutable_status()->mutable_next_attempt_time() = service::ToProto(kNext);
  }
  const absl::Time kNext = kNow + absl::Minutes(1);
  World world_;
};

TEST_F(BackOffTest, CountsForNothingWhenTheFailureLiesAhead) {
  *world_.certificate.mutable_status()->mutable_last_failure_time() = service::ToProto(kNow);
  EXPECT_EQ(world_.Decide(kNow - absl::Seconds(59)).action, CertificateAction::kBackOff);
  EXPECT_EQ(world_.Decide(kNow - absl::Hours(24)).action, CertificateAction::kBegin);
}

TEST_F(BackOffTest, LastsUntilTheNextAttempt) {
  const CertificateDecision decision = world_.Decide();
  EXPECT_EQ(decision.action, CertificateAction::kBackOff);
  EXPECT_EQ(decision.at, kNext);
  EXPECT_EQ(decision.finding.reason, "DoesNotExist");
  EXPECT_EQ(world_.Decide(kNext - absl::Nanoseconds(1)).action, CertificateAction::kBackOff);
  EXPECT_EQ(world_.Decide(kNext).action, CertificateAction::kBegin);
}

TEST_F(BackOffTest, EndsWithAChangedSpec) {
  world_.certificate.mutable_metadata()->set_generation(4);
  EXPECT_EQ(world_.Decide().action, CertificateAction::kBegin);
}

TEST_F(BackOffTest, EndsWithAManualRenewal) {
  world_.SetIssuing(true, "ManuallyTriggered", 3);
  EXPECT_EQ(world_.Decide().action, CertificateAction::kBegin);
}

TEST(RequestFitsSpecTest, ComparesAllThatIsAskedFor) {
  const std::vector<std::function<void(World&)>> changes = {
      [](World& world) { world.certificate.mutable_spec()->add_dns_names("c.example"); },
      [](World& world) { world.certificate.mutable_spec()->add_ip_addresses("192.0.2.1"); },
      [](World& world) { world.certificate.mutable_spec()->set_common_name("a.example"); },
      [](World& world) {
        world.certificate.mutable_spec()->mutable_private_key()->set_size(384);
      },
      [](World& world) { world.request->mutable_spec()->mutable_issuer_ref()->set_name("b"); },
      [](World& world) {
        world.request->mutable_spec()->mutable_issuer_ref()->set_kind(
            meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
      },
      [](World& world) { world.request->mutable_spec()->clear_duration(); },
      [](World& world) { world.request->mutable_spec()->add_usages("server auth"); },
      [](World& world) { world.request->mutable_spec()->set_request("not PEM"); },
  };
  World world;
  world.AddRequest();
  EXPECT_TRUE(RequestFitsSpec(*world.request, world.certificate));
  for (std::size_t i = 0; i < changes.size(); ++i) {
    World changed = world;
    changes[i](changed);
    EXPECT_FALSE(RequestFitsSpec(*changed.request, changed.certificate)) << i;
  }
}

TEST(RequestFitsSpecTest, TrustsTheGenerationThatItWasMadeFor) {
  World world;
  world.request.emplace();
  auto& generation = (*world.request->mutable_metadata()
                           ->mutable_annotations())[kCertificateGenerationAnnotation];
  generation = "3";
  EXPECT_TRUE(RequestFitsSpec(*world.request, world.certificate));
  generation = "2";
  EXPECT_FALSE(RequestFitsSpec(*world.request, world.certificate));
}

TEST(ReadKeyPairTest, ReadsAKeyPairOrSaysWhatIsWrong) {
  const pki::TestCa ca;
  pki::SubjectAltNames names;
  names.dns_names = {"a.example"};
  const pki::TestIdentity identity = ca.Issue(names);
  const std::string other_key = ca.Issue(names).key_pem;
  struct Case {
    std::string certificate;
    std::string key;
    std::string reason;
  };
  for (const Case& test :
       {Case{identity.chain_pem, identity.key_pem, ""},
        Case{"", identity.key_pem, "MissingData"}, Case{identity.chain_pem, "", "MissingData"},
        Case{"no PEM", identity.key_pem, "InvalidCertificate"},
        Case{identity.chain_pem, "no PEM", "InvalidKeyPair"},
        Case{identity.chain_pem, other_key, "InvalidKeyPair"}}) {
    Secret secret;
    (*secret.mutable_data())[kCertificateKey] = test.certificate;
    (*secret.mutable_data())[kPrivateKeyKey] = test.key;
    const KeyPairFacts facts = ReadKeyPair(secret);
    EXPECT_EQ(facts.problem.has_value() ? facts.problem->reason : "", test.reason);
    if (facts.problem.has_value()) continue;
    EXPECT_EQ(facts.names, names);
    EXPECT_EQ(facts.not_before, pki::TestNotBefore());
    EXPECT_EQ(facts.not_after, pki::TestNotAfter());
    EXPECT_EQ(facts.key_spec, pki::KeySpec());
  }
  EXPECT_EQ(ReadKeyPair(Secret()).problem->reason, "MissingData");
}

}  // namespace
}  // namespace certwright::issuer_service
