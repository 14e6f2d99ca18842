// What a Certificate does when its issuer's CA is replaced: what is in its Secret follows.
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "services/issuer/certificate_reconciler_testing.h"
#include "services/issuer/secret_outputs.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::Secret;
using testing::HasSubstr;

class CertificateCaChangeTest : public CertificateReconcilerTest {
 protected:
  // What the test's CA signs with, or another one, from now on.
  void SignWith(const pki::TestCa& ca) {
    private_cas_.Set("Issuer web/ca",
                     {ca.certificate(), ca.certificate().Pem(), ca.root().Pem(), clock_.Now()});
  }
  // A Certificate like the test's, with its pair and another uid.
  struct Present {
    Present(CertificateCaChangeTest& test, const std::string& uid)
        : certificate(test.Site()), secret(test.SiteSecret()), key_pair(ReadKeyPair(secret)) {
      certificate.mutable_metadata()->set_uid(uid);
      snapshot.certificate = &certificate;
      snapshot.secret = &secret;
      snapshot.key_pair = &key_pair;
    }
    CertificateDecision Decide(absl::Time now) const {
      return DecideCertificate(snapshot, FallbackRules(), PaceRules(), now);
    }

    Certificate certificate;
    const Secret secret;
    const KeyPairFacts key_pair;
    CertificateSnapshot snapshot;
  };
  std::string ReadyMessage() {
    const Certificate site = Site();
    return service::FindCondition(site.status().conditions(), "Ready")->message();
  }
};

// Fault 111.
TEST_F(CertificateCaChangeTest, WhatLeadsElsewhereIsRenewedAndCaCrtFollows) {
  Create();
  SignWith(ca_);
  Issue();
  // As CA issuers hand it out: what was to be trusted is the root.
  Pass();
  const Secret before = SiteSecret();
  EXPECT_EQ(before.data().at(kCaKey), ca_.root().Pem());

  const pki::TestCa other = pki::TestCa("Other Root").MakeIntermediate();
  SignWith(other);
  const auto wait = Pass().requeue_after;
  ASSERT_TRUE(wait.has_value());
  EXPECT_LE(*wait, absl::Seconds(1));
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_THAT(ReadyMessage(), HasSubstr("another CA"));
  // Of which a message holds nanoseconds.
  EXPECT_LT(absl::AbsDuration(service::FromProto(Site().status().renewal_time()) -
                              (clock_.Now() + *wait)),
            absl::Nanoseconds(2));
  // What is there still belongs together.
  EXPECT_EQ(SiteSecret().data().at(kCaKey), ca_.root().Pem());
  EXPECT_EQ(RequestName(), "");

  clock_.Advance(*wait);
  Pass();
  ASSERT_NE(RequestName(), "");
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_EQ(ConditionOf(Site(), "Issuing"), "True CaReplaced");
  issuer::v1::CertificateRequest request = Request();
  pki::TestCertificateSpec spec;
  spec.not_before = clock_.Now();
  spec.not_after = clock_.Now() + absl::Hours(90 * 24);
  request.mutable_status()->set_certificate(
      pki::ToPem(other.ChainFor(other.SignCsr(request.spec().request(), spec))));
  request.mutable_status()->set_ca(other.root().Pem());
  SetReady(request, true, "Issued");
  Pass();
  EXPECT_EQ(SiteSecret().data().at(kCaKey), other.root().Pem());
  EXPECT_GT(*Pass().requeue_after, absl::Hours(24));
  EXPECT_EQ(RequestName(), "");
  EXPECT_EQ(ReadyMessage(), "The certificate is up to date.");
}

// Fault 111.
TEST_F(CertificateCaChangeTest, ARenewedCaOfTheSameKeyChangesCaCrtAlone) {
  Create();
  ChangeSpec([](auto& spec) { spec.mutable_keystores()->mutable_pkcs12()->set_create(true); });
  Issue();
  const std::string leaf = SiteSecret().data().at(kCertificateKey);
  const std::string truststore = SiteSecret().data().at(kPkcs12TruststoreKey);
  const pki::TestCa root("Another Root");
  SignWith(pki::TestCa(ca_.key(), {ca_.certificate(), root.certificate()}));
  Pass();
  EXPECT_EQ(SiteSecret().data().at(kCertificateKey), leaf);
  EXPECT_EQ(SiteSecret().data().at(kCaKey), root.certificate().Pem());
  EXPECT_NE(SiteSecret().data().at(kPkcs12TruststoreKey), truststore);
  EXPECT_EQ(RequestName(), "");
  EXPECT_EQ(Site().status().revision(), 1);
  // Once.
  const std::string version = SiteSecret().metadata().resource_version();
  Pass();
  EXPECT_EQ(SiteSecret().metadata().resource_version(), version);
}

// Fault 111.
TEST_F(CertificateCaChangeTest, EachIsRenewedAtATimeOfItsOwnWithinTheSpread) {
  Create();
  Issue();
  PrivateCa ca{ca_.certificate(), "", "", clock_.Now() + absl::Hours(1)};
  ca.leaves = 1000;
  std::set<absl::Time> times;
  for (const char* uid : {"one", "two", "three", "four", "five"}) {
    Present present(*this, uid);
    const absl::Time usual = present.Decide(ca.since).at;
    present.snapshot.other_ca = &ca;
    const CertificateDecision waits = present.Decide(ca.since);
    EXPECT_EQ(waits.action, CertificateAction::kReady);
    EXPECT_GE(waits.at, ca.since);
    EXPECT_LT(waits.at, ca.since + absl::Seconds(1000));
    EXPECT_LT(waits.at, usual);
    const CertificateDecision before = present.Decide(waits.at - absl::Nanoseconds(1));
    EXPECT_EQ(before.action, CertificateAction::kReady);
    EXPECT_EQ(before.at, waits.at);
    const CertificateDecision due = present.Decide(waits.at);
    EXPECT_EQ(due.action, CertificateAction::kBegin);
    EXPECT_EQ(due.finding.reason, "CaReplaced");
    EXPECT_TRUE(due.present_serves);
    times.insert(waits.at);
  }
  EXPECT_EQ(times.size(), 5u);
}

TEST_F(CertificateCaChangeTest, ItPostponesNoRenewalAndKeepsToWindows) {
  Create();
  Issue();
  Present present(*this, "one");
  const absl::Time usual = present.Decide(clock_.Now()).at;
  PrivateCa ca{ca_.certificate(), "", "", usual - absl::Milliseconds(1)};
  ca.leaves = 100'000;
  present.snapshot.other_ca = &ca;
  EXPECT_EQ(present.Decide(usual).action, CertificateAction::kBegin);

  ca.since = clock_.Now();
  auto& window = *present.certificate.mutable_spec()->add_renewal_windows();
  window.set_cron("0 0 1 * *");
  window.mutable_duration()->set_seconds(3600);
  const absl::Time at = present.Decide(ca.since).at;
  const absl::CivilSecond civil = absl::ToCivilSecond(at, absl::UTCTimeZone());
  EXPECT_EQ(civil.day(), 1);
  EXPECT_EQ(civil.hour(), 0);
  EXPECT_LT(at, usual);
}

TEST_F(CertificateCaChangeTest, AnIssuerThatCannotSignNowRenewsNothing) {
  Create();
  Issue();
  SignWith(pki::TestCa("Other Root"));
  private_cas_.Forget("Issuer web/ca");
  EXPECT_GT(*Pass().requeue_after, absl::Hours(24));
  EXPECT_EQ(ReadyMessage(), "The certificate is up to date.");
}

}  // namespace
}  // namespace certwright::issuer_service
