#include "services/issuer/certificate_decision.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/test_ca.h"
#include "lib/service/conditions.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using issuer::v1::CertificateSpec;
using issuer::v1::Secret;

constexpr absl::Duration kDay = absl::Hours(24);
const absl::Time kNow = absl::FromUnixSeconds(1767323045);

// A Certificate whose Secret holds what it asks for, to be spoilt by tests.
struct World {
  World() {
    certificate.mutable_metadata()->set_namespace_("web");
    certificate.mutable_metadata()->set_name("site");
    certificate.mutable_metadata()->set_generation(3);
    CertificateSpec& spec = *certificate.mutable_spec();
    spec.set_secret_name("site-tls");
    spec.mutable_issuer_ref()->set_name("ca");
    spec.add_dns_names("b.example");
    spec.add_dns_names("a.example");
    rpc::Violations violations;
    ValidateCertificate(certificate, violations);
    EXPECT_TRUE(violations.empty());

    secret.emplace();
    auto& annotations = *secret->mutable_metadata()->mutable_annotations();
    annotations[kCertificateNameAnnotation] = "site";
    annotations[kIssuerNameAnnotation] = "ca";
    annotations[kIssuerKindAnnotation] = "Issuer";
    key_pair.not_before = kNow - kDay;
    key_pair.not_after = kNow + 89 * kDay;
    key_pair.names.dns_names = {"a.example", "b.example"};
  }

  void SetIssuing(bool status, const std::string& reason, int generation) {
    service::SetCondition(*certificate.mutable_status()->mutable_conditions(),
                          {"Issuing", status, reason, "said so"}, generation, kNow);
  }
  void AddRequest() {
    static const pki::PrivateKey key = *pki::PrivateKey::Generate(pki::KeySpec());
    request.emplace();
    auto& spec = *request->mutable_spec();
    spec.set_request(*pki::CreateCsrPem(CsrSpecOf(certificate.spec()), key));
    *spec.mutable_issuer_ref() = certificate.spec().issuer_ref();
    *spec.mutable_duration() = certificate.spec().duration();
    *spec.mutable_usages() = certificate.spec().usages();
  }
  void SetRequestReady(bool ready, const std::string& reason, const std::string& message) {
    service::SetCondition(*request->mutable_status()->mutable_conditions(),
                          {"Ready", ready, reason, message}, 1, kNow);
  }

  CertificateSnapshot Snapshot() const {
    CertificateSnapshot snapshot;
    snapshot.certificate = &certificate;
    if (secret.has_value()) {
      snapshot.secret = &*secret;
      snapshot.key_pair = &key_pair;
    }
    if (request.has_value()) snapshot.request = &*request;
    snapshot.secret_owner = secret_owner;
    return snapshot;
  }
  std::string Reason(absl::Time now = kNow) const {
    const auto finding = FindReasonToIssue(Snapshot(), now);
    return finding.has_value() ? finding->reason : "";
  }
  CertificateDecision Decide(absl::Time now = kNow) const {
    return DecideCertificate(Snapshot(), now);
  }

  Certificate certificate;
  std::optional<Secret> secret;
  KeyPairFacts key_pair;
  std::optional<CertificateRequest> request;
  std::string secret_owner;
};

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
  const absl::Time renewal = kNow + 59 * kDay;
  EXPECT_EQ(world.Reason(renewal - absl::Seconds(1)), "");
  EXPECT_EQ(world.Reason(renewal), "Renewing");
}

TEST(RenewalTimeTest, FollowsTheSpecOrTheRealLifetime) {
  struct Case {
    absl::Duration lifetime;
    absl::Duration renew_before;
    int percentage;
    absl::Duration before_end;
  };
  for (const Case& test : {
           Case{90 * kDay, absl::ZeroDuration(), 0, 30 * kDay},
           Case{12 * kDay, absl::ZeroDuration(), 0, 4 * kDay},
           Case{10 * kDay - absl::Seconds(2), absl::ZeroDuration(), 0,
                5 * kDay - absl::Seconds(1)},
           Case{6 * kDay, absl::ZeroDuration(), 0, 3 * kDay},
           Case{90 * kDay, 15 * kDay, 0, 15 * kDay},
           Case{90 * kDay, absl::ZeroDuration(), 10, 9 * kDay},
           // The CA gave less than was asked for.
           Case{6 * kDay, 15 * kDay, 0, 3 * kDay},
           Case{15 * kDay, 15 * kDay, 0, 5 * kDay},
       }) {
    CertificateSpec spec;
    if (test.renew_before > absl::ZeroDuration()) {
      spec.mutable_renew_before()->set_seconds(absl::ToInt64Seconds(test.renew_before));
    }
    spec.set_renew_before_percentage(test.percentage);
    const absl::Time not_after = kNow + test.lifetime;
    EXPECT_EQ(not_after - RenewalTime(spec, kNow, not_after), test.before_end)
        << test.lifetime << " " << spec.DebugString();
  }
}

TEST(FailureBackoffTest, GrowsToADay) {
  EXPECT_EQ(FailureBackoff(1), absl::Minutes(1));
  EXPECT_EQ(FailureBackoff(2), absl::Minutes(10));
  EXPECT_EQ(FailureBackoff(3), absl::Minutes(100));
  EXPECT_EQ(FailureBackoff(4), kDay);
  EXPECT_EQ(FailureBackoff(1'000'000), kDay);
}

TEST(DecideCertificateTest, IsReadyUntilRenewal) {
  const CertificateDecision decision = World().Decide();
  EXPECT_EQ(decision.action, CertificateAction::kReady);
  EXPECT_EQ(decision.at, kNow + 59 * kDay);
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
    world.secret_owner = "other";
    const CertificateDecision decision = world.Decide();
    EXPECT_EQ(decision.action, CertificateAction::kBlocked);
    EXPECT_EQ(decision.finding.reason, "IncorrectCertificate");
    EXPECT_THAT(decision.finding.message, testing::HasSubstr("other"));
  }
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
