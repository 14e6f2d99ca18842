#include "services/issuer/certificate_reconciler.h"

#include <string>

#include "gmock/gmock.h"
#include "services/issuer/certificate_reconciler_testing.h"
#include "services/issuer/given_certificate.h"
#include "services/issuer/output_validation.h"
#include "services/issuer/secret_outputs.h"
#include "services/issuer/temporary_certificate.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using issuer::v1::Secret;
using testing::HasSubstr;

constexpr absl::Duration kDay = absl::Hours(24);

TEST_F(CertificateReconcilerTest, BeginsWithKeyRequestAndStatusInOneCommit) {
  Create();
  Pass();
  const Certificate site = Site();
  EXPECT_EQ(ConditionOf(site, "Issuing"), "True DoesNotExist");
  EXPECT_EQ(ConditionOf(site), "False DoesNotExist");
  EXPECT_THAT(site.status().certificate_request_name(),
              testing::MatchesRegex("site-1-[0-9a-f]{10}"));
  const CertificateRequest request = Request();
  EXPECT_EQ(request.metadata().owner().uid(), site.metadata().uid());
  EXPECT_EQ(request.spec().issuer_ref().name(), "ca");
  const auto csr = pki::ParseCsrPem(request.spec().request());
  ASSERT_THAT(csr, base::IsOk());
  EXPECT_THAT(csr->names.dns_names, testing::ElementsAre("a.example"));
  const Secret next_key = Read(stores_->secrets, site.status().next_private_key_secret_name());
  const auto key = pki::PrivateKey::ParsePem(next_key.data().at(kPrivateKeyKey));
  ASSERT_THAT(key, base::IsOk());
  EXPECT_TRUE(key->public_key() == csr->public_key);
  EXPECT_EQ(request.metadata().resource_version(), site.metadata().resource_version());
  EXPECT_EQ(next_key.metadata().resource_version(), site.metadata().resource_version());
}

TEST_F(CertificateReconcilerTest, WaitsForTheRequestWithoutMakingAnother) {
  Create();
  Pass();
  const std::string request = RequestName();
  Pass();
  EXPECT_EQ(RequestName(), request);
  EXPECT_EQ(Await(stores_->requests.List(Context(), {}))->resources.size(), 1u);
}

TEST_F(CertificateReconcilerTest, WritesTheSecretAndStatusInOneCommit) {
  Create();
  Issue();
  const Certificate site = Site();
  const Secret secret = SiteSecret();
  EXPECT_EQ(secret.metadata().resource_version(), site.metadata().resource_version());
  EXPECT_EQ(secret.type(), kTlsSecretType);
  EXPECT_FALSE(ReadKeyPair(secret).problem.has_value());
  EXPECT_EQ(secret.data().at(kCaKey), ca_.certificate().Pem());
  EXPECT_EQ(secret.metadata().annotations().at(kCertificateNameAnnotation), "site");
  EXPECT_EQ(ConditionOf(site), "True Ready");
  EXPECT_EQ(ConditionOf(site, "Issuing"), "");
  EXPECT_EQ(site.status().revision(), 1);
  EXPECT_EQ(service::FromProto(site.status().not_after()), clock_.Now() + 90 * kDay);
  EXPECT_EQ(site.status().certificate_request_name(), "");
  EXPECT_FALSE(Exists(stores_->secrets, "site-next-key"));
  EXPECT_EQ(site.status().issuer_in_use().name(), "ca");
  EXPECT_EQ(site.status().serial_number(), ReadKeyPair(secret).serial_number);
  EXPECT_TRUE(WasGiven(site, ReadKeyPair(secret).fingerprint));
  const absl::Duration renewal = *Pass().requeue_after;
  EXPECT_GT(renewal, 57 * kDay);
  EXPECT_LE(renewal, 60 * kDay);
  EXPECT_LT(absl::AbsDuration(service::FromProto(site.status().renewal_time()) -
                              (clock_.Now() + renewal)),
            absl::Microseconds(1));
  EXPECT_EQ(Site().metadata().resource_version(), site.metadata().resource_version());
}

TEST_F(CertificateReconcilerTest, NamesTheCertificateForQuestionsAboutRenewal) {
  Create();
  Issue();
  const issuer::v1::RenewalInfo info = Site().status().renewal_info();
  EXPECT_THAT(info.certificate_id(), testing::MatchesRegex("[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+"));
  EXPECT_GE(service::FromProto(info.next_check()), clock_.Now());
  EXPECT_LE(service::FromProto(info.next_check()), clock_.Now() + absl::Minutes(1));
}

TEST_F(CertificateReconcilerTest, RenewalStaysReadyTakesANewKeyAndPrunesOldRequests) {
  Create();
  Pass();
  const std::string first = RequestName();
  Sign();
  Pass();
  const Secret before = SiteSecret();
  AdvanceToRenewal();
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "Issuing"), "True Renewing");
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_EQ(SiteSecret().metadata().resource_version(), before.metadata().resource_version());
  const std::string second = RequestName();
  KnowRequests();
  Sign();
  Pass();
  EXPECT_EQ(Site().status().revision(), 2);
  EXPECT_NE(SiteSecret().data().at(kPrivateKeyKey), before.data().at(kPrivateKeyKey));
  EXPECT_TRUE(Read(stores_->requests, first).metadata().has_delete_time());
  EXPECT_TRUE(Exists(stores_->requests, second));
  EXPECT_FALSE(Read(stores_->requests, second).metadata().has_delete_time());
}

TEST_F(CertificateReconcilerTest, RotationPolicyNeverKeepsTheKey) {
  Create();
  ChangeSpec([](auto& spec) {
    spec.mutable_private_key()->set_rotation_policy(issuer::v1::ROTATION_POLICY_NEVER);
  });
  Issue();
  const Secret before = SiteSecret();
  AdvanceToRenewal();
  Issue();
  EXPECT_EQ(SiteSecret().data().at(kPrivateKeyKey), before.data().at(kPrivateKeyKey));
  EXPECT_NE(SiteSecret().data().at(kCertificateKey), before.data().at(kCertificateKey));
}

TEST_F(CertificateReconcilerTest, ACompromisedKeyIsNeverKept) {
  Create();
  ChangeSpec([](auto& spec) {
    spec.mutable_private_key()->set_rotation_policy(issuer::v1::ROTATION_POLICY_NEVER);
  });
  Issue();
  const Secret before = SiteSecret();
  Certificate site = Site();
  issuer::v1::Revocation& revocation = *site.mutable_status()->mutable_revocation();
  revocation.set_serial_number(ReadKeyPair(before).serial_number);
  revocation.set_reason(issuer::v1::REVOCATION_REASON_KEY_COMPROMISE);
  WriteStatus(stores_->certificates, site);
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "False Revoked");
  Sign();
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_NE(SiteSecret().data().at(kPrivateKeyKey), before.data().at(kPrivateKeyKey));
  EXPECT_FALSE(Site().status().has_revocation());
}

// Fault 93.
TEST_F(CertificateReconcilerTest, TheNextCertificateReplacesThePresentOneAtTheSameCa) {
  Create();
  ChangeSpec([](auto& spec) { spec.add_fallback_issuer_refs()->set_name("second"); });
  Pass();
  EXPECT_EQ(Request().spec().replaces(), "");
  Sign();
  Pass();
  Certificate site = Site();
  issuer::v1::RenewalInfo& info = *site.mutable_status()->mutable_renewal_info();
  for (auto* time : {info.mutable_window_start(), info.mutable_window_end(),
                     info.mutable_selected_time(), info.mutable_suggested_time()}) {
    *time = service::ToProto(clock_.Now());
  }
  WriteStatus(stores_->certificates, site);
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "Issuing"), "True Renewing");
  EXPECT_EQ(Request().spec().replaces(), info.certificate_id());

  // Another CA knows nothing of it.
  FailAtIssuer("rejectedIdentifier");
  Pass();
  EXPECT_EQ(Request().spec().issuer_ref().name(), "second");
  EXPECT_EQ(Request().spec().replaces(), "");
}

// Fault 93.
TEST_F(CertificateReconcilerTest, TurnsToTheFallbackIssuerAndBackAtTheNextRenewal) {
  Create();
  ChangeSpec([](auto& spec) { spec.add_fallback_issuer_refs()->set_name("second"); });
  Pass();
  CertificateRequest request = Request();
  const std::string first = request.metadata().name();
  service::SetCondition(*request.mutable_status()->mutable_conditions(),
                        {"IssuerAvailable", false, "ServerUnavailable", ""}, 1, clock_.Now());
  SetReady(request, false, "ServerUnavailable");
  EXPECT_EQ(Pass().requeue_after, absl::Minutes(2));
  clock_.Advance(absl::Minutes(2));
  Pass();
  EXPECT_TRUE(Read(stores_->requests, first).metadata().has_delete_time());
  EXPECT_NE(RequestName(), first);
  EXPECT_EQ(Request().spec().issuer_ref().name(), "second");
  ASSERT_EQ(Site().status().issuer_outages_size(), 1);
  EXPECT_EQ(Site().status().issuer_outages(0).reason(), "the CA said so");
  EXPECT_EQ(Site().status().failed_issuance_attempts(), 0);
  Sign();
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_EQ(Site().status().issuer_in_use().name(), "second");
  EXPECT_EQ(SiteSecret().metadata().annotations().at(kIssuerNameAnnotation), "second");
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");

  AdvanceToRenewal();
  Pass();
  EXPECT_EQ(Request().spec().issuer_ref().name(), "ca");
}

TEST_F(CertificateReconcilerTest, ARefusedRequestStaysToTellWhyTheIssuerWasPassedOver) {
  Create();
  ChangeSpec([](auto& spec) { spec.add_fallback_issuer_refs()->set_name("second"); });
  Pass();
  const std::string refused = RequestName();
  FailAtIssuer("rejectedIdentifier");
  Pass();
  EXPECT_EQ(Request().spec().issuer_ref().name(), "second");
  EXPECT_TRUE(Exists(stores_->requests, refused));
  EXPECT_FALSE(Read(stores_->requests, refused).metadata().has_delete_time());
  // The last issuer's refusal is the Certificate's failure.
  FailAtIssuer("rejectedIdentifier");
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "Issuing"), "False Failed");
  EXPECT_EQ(Pass().requeue_after, absl::Hours(1));
  // With a changed spec all issuers are asked again.
  ChangeSpec([](auto& spec) { spec.add_dns_names("b.example"); });
  Pass();
  EXPECT_EQ(Request().spec().issuer_ref().name(), "ca");
  EXPECT_EQ(Site().status().failed_issuance_attempts(), 0);
}

TEST_F(CertificateReconcilerTest, AFailedRenewalLeavesTheCertificateReady) {
  Create();
  Issue();
  AdvanceToRenewal();
  Pass();
  Refuse();
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_EQ(ConditionOf(Site(), "Issuing"), "False Failed");
  clock_.Advance(34 * kDay);
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "False Expired");
}

TEST_F(CertificateReconcilerTest, DeletedSecretOfWhichNothingIsKeptIsIssuedAnew) {
  Create();
  Issue();
  CW_ASSERT_OK(Await(stores_->kept_key_pairs.Delete(Context(), "web", "site")));
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "site-tls")));
  EXPECT_EQ(Pass().requeue_after, absl::Minutes(1));
  EXPECT_EQ(ConditionOf(Site(), "IssuancePaced"), "True DoesNotExist");
  clock_.Advance(absl::Minutes(1));
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "IssuancePaced"), "");
  EXPECT_EQ(ConditionOf(Site(), "SecretOverwritten"), "True WrittenByOthers");
  EXPECT_EQ(ConditionOf(Site()), "False DoesNotExist");
  EXPECT_THAT(RequestName(), testing::StartsWith("site-2-"));
  Sign();
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_TRUE(Exists(stores_->secrets, "site-tls"));
}

// Fault 48.
TEST_F(CertificateReconcilerTest, FailureSetsBackOffThatGrowsUntilSuccess) {
  Create();
  Pass();
  Refuse();
  Pass();
  const Certificate failed = Site();
  EXPECT_EQ(ConditionOf(failed), "False Failed");
  EXPECT_EQ(ConditionOf(failed, "Issuing"), "False Failed");
  EXPECT_EQ(failed.status().failed_issuance_attempts(), 1);
  EXPECT_EQ(service::FromProto(failed.status().next_attempt_time()),
            clock_.Now() + absl::Minutes(1));
  EXPECT_FALSE(Exists(stores_->secrets, "site-next-key"));
  EXPECT_EQ(Pass().requeue_after, absl::Minutes(1));
  EXPECT_EQ(Site().status().certificate_request_name(), "");

  clock_.Advance(absl::Minutes(1));
  Pass();
  EXPECT_NE(RequestName(), "");
  Refuse();
  Pass();
  EXPECT_EQ(Pass().requeue_after, absl::Minutes(5));
  clock_.Advance(absl::Minutes(5));
  Issue();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_EQ(Site().status().failed_issuance_attempts(), 0);
  EXPECT_FALSE(Site().status().has_next_attempt_time());
}

// Fault 53.
TEST_F(CertificateReconcilerTest, AKeyThatTheCaRefusesIsNotAskedForAgain) {
  Create();
  Pass();
  const auto refused = pki::ParseCsrPem(Request().spec().request());
  FailAtIssuer("badPublicKey");
  Pass();
  EXPECT_EQ(Pass().requeue_after, absl::Hours(1));
  clock_.Advance(absl::Hours(1));
  Pass();
  const auto next = pki::ParseCsrPem(Request().spec().request());
  ASSERT_TRUE(refused.ok() && next.ok());
  EXPECT_FALSE(refused->public_key == next->public_key);
}

TEST_F(CertificateReconcilerTest, ChangedSpecReplacesTheRequestInOneCommit) {
  Create();
  Pass();
  const std::string first = RequestName();
  ChangeSpec([](auto& spec) { spec.add_dns_names("b.example"); });
  Pass();
  EXPECT_NE(RequestName(), first);
  const CertificateRequest outdated = Read(stores_->requests, first);
  EXPECT_TRUE(outdated.metadata().has_delete_time());
  EXPECT_EQ(outdated.metadata().resource_version(), Site().metadata().resource_version());
  Sign();
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
}

// Fault 101.
TEST_F(CertificateReconcilerTest, RequestWithoutItsKeyIsMadeAnewAfterAPause) {
  Create();
  Pass();
  const std::string first = RequestName();
  Sign();
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "site-next-key")));
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "Issuing"), "False NextKeyLost");
  EXPECT_EQ(Pass().requeue_after, absl::Minutes(1));
  EXPECT_EQ(RequestName(), "");
  clock_.Advance(absl::Minutes(1));
  Pass();
  ASSERT_NE(RequestName(), "");
  EXPECT_NE(RequestName(), first);
  EXPECT_TRUE(Exists(stores_->secrets, "site-next-key"));
  EXPECT_TRUE(Read(stores_->requests, first).metadata().has_delete_time());
}

TEST_F(CertificateReconcilerTest, DeletedCertificateLeavesItsSecretButNoRequestAndNoKey) {
  Create();
  Issue();
  AdvanceToRenewal();
  Pass();
  KnowRequests();
  CW_ASSERT_OK(Await(stores_->certificates.Delete(Context(), "web", "site")));
  Pass();
  const auto requests = Await(stores_->requests.List(Context(), {}));
  ASSERT_THAT(requests->resources, testing::SizeIs(2));
  for (const CertificateRequest& request : requests->resources) {
    EXPECT_TRUE(request.metadata().has_delete_time());
  }
  EXPECT_FALSE(Exists(stores_->secrets, "site-next-key"));
  EXPECT_FALSE(Exists(stores_->kept_key_pairs, "site"));
  EXPECT_TRUE(Exists(stores_->secrets, "site-tls"));
}

TEST_F(CertificateReconcilerTest, DeletedCertificateLeavesAUsersSecretOfThatName) {
  for (const bool labelled : {false, true}) {
    issuer::v1::Secret secret;
    secret.mutable_metadata()->set_namespace_("web");
    secret.mutable_metadata()->set_name("site-next-key");
    (*secret.mutable_data())["tls.key"] = "own";
    (*secret.mutable_metadata()->mutable_labels())["team"] = "web";
    if (labelled) {
      (*secret.mutable_metadata()->mutable_labels())[kNextPrivateKeyLabel] = "true";
    }
    CW_ASSERT_OK(Await(stores_->secrets.Create(Context(), secret)));
    Pass();
    EXPECT_EQ(Exists(stores_->secrets, "site-next-key"), !labelled);
    Await(stores_->secrets.Delete(Context(), "web", "site-next-key")).IgnoreError();
  }
}

TEST_F(CertificateReconcilerTest, DamagedSecretIsNoticedAndReplaced) {
  Create();
  Issue();
  CW_ASSERT_OK(Await(stores_->kept_key_pairs.Delete(Context(), "web", "site")));
  clock_.Advance(absl::Minutes(1));
  Secret secret = SiteSecret();
  (*secret.mutable_data())[kCertificateKey] = "damaged";
  CW_ASSERT_OK(Await(stores_->secrets.Update(Context(), secret)));
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "False InvalidCertificate");
  EXPECT_FALSE(Site().status().has_not_after());
  Sign();
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_THAT(SiteSecret().data().at(kCertificateKey), HasSubstr("BEGIN CERTIFICATE"));
}

TEST_F(CertificateReconcilerTest, TemporaryCertificateIsThereUntilTheRealOneIs) {
  Certificate certificate;
  certificate.mutable_metadata()->set_namespace_("web");
  certificate.mutable_metadata()->set_name("site");
  (*certificate.mutable_metadata()->mutable_annotations())[kIssueTemporaryAnnotation] = "true";
  certificate.mutable_spec()->set_secret_name("site-tls");
  certificate.mutable_spec()->mutable_issuer_ref()->set_name("ca");
  certificate.mutable_spec()->add_dns_names("a.example");
  rpc::Violations violations;
  ValidateCertificate(certificate, violations);
  CW_ASSERT_OK(Await(stores_->certificates.Create(Context(), certificate)));
  Pass();
  const Secret temporary = SiteSecret();
  EXPECT_TRUE(temporary.metadata().annotations().contains(kTemporaryAnnotation));
  const auto chain = pki::ParseChainPem(temporary.data().at(kCertificateKey));
  ASSERT_THAT(chain, base::IsOk());
  EXPECT_THAT(chain->front().names.dns_names, testing::ElementsAre("a.example"));
  EXPECT_EQ(temporary.data().at(kPrivateKeyKey),
            Read(stores_->secrets, "site-next-key").data().at(kPrivateKeyKey));
  EXPECT_EQ(temporary.metadata().resource_version(), Site().metadata().resource_version());

  Pass();
  EXPECT_EQ(ConditionOf(Site()), "False DoesNotExist");
  EXPECT_FALSE(Site().status().has_not_after());
  EXPECT_NE(RequestName(), "");
  Sign();
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_FALSE(SiteSecret().metadata().annotations().contains(kTemporaryAnnotation));
  EXPECT_NE(SiteSecret().data().at(kCertificateKey), temporary.data().at(kCertificateKey));
  EXPECT_GT(Pass().requeue_after, 57 * kDay);
}

TEST_F(CertificateReconcilerTest, WhatIsAskedForOtherwiseIsAskedForAnew) {
  Create();
  Issue();
  ChangeSpec([](auto& spec) { spec.mutable_renew_before()->set_seconds(3600); });
  Pass();
  EXPECT_EQ(Site().status().certificate_request_name(), "");
  ChangeSpec([](auto& spec) { spec.add_usages("client auth"); });
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "False RequestChanged");
  Sign();
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  ChangeSpec([](auto& spec) { spec.mutable_subject()->add_organizations("Org"); });
  Issue();
  EXPECT_EQ(Site().status().revision(), 3);
}

TEST_F(CertificateReconcilerTest, OutputsAreWrittenWithoutANewCertificate) {
  Create();
  Issue();
  const Secret before = SiteSecret();
  ChangeSpec([](auto& spec) {
    spec.add_additional_output_formats(issuer::v1::OUTPUT_FORMAT_COMBINED_PEM);
    (*spec.mutable_secret_template()->mutable_labels())["team"] = "a";
  });
  Pass();
  EXPECT_EQ(SiteSecret().data().at(kCertificateKey), before.data().at(kCertificateKey));
  EXPECT_TRUE(SiteSecret().data().contains(kCombinedPemKey));
  EXPECT_EQ(SiteSecret().metadata().labels().at("team"), "a");
  EXPECT_EQ(Site().status().revision(), 1);
  const std::string version = SiteSecret().metadata().resource_version();
  Pass();
  EXPECT_EQ(SiteSecret().metadata().resource_version(), version);
  ChangeSpec([](auto& spec) { spec.clear_additional_output_formats(); });
  Pass();
  EXPECT_FALSE(SiteSecret().data().contains(kCombinedPemKey));
  EXPECT_EQ(SiteSecret().metadata().labels().at("team"), "a");
}

TEST_F(CertificateReconcilerTest, AMissingPasswordKeepsOnlyTheKeystoreFromBeingThere) {
  Create();
  ChangeSpec([](auto& spec) {
    spec.mutable_keystores()->mutable_jks()->set_create(true);
    auto& ref = *spec.mutable_keystores()->mutable_jks()->mutable_password_secret_ref();
    ref.set_name("password");
    rpc::Violations violations;
    ValidateOutputs(spec, violations);
  });
  Issue();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  const Certificate site = Site();
  EXPECT_THAT(service::FindCondition(site.status().conditions(), "Ready")->message(),
              HasSubstr("password"));
  EXPECT_FALSE(SiteSecret().data().contains(kJksKey));
  CreateSecret("web", "password", "password", "changeit");
  Pass();
  EXPECT_TRUE(SiteSecret().data().contains(kJksKey));
  const Certificate now = Site();
  EXPECT_EQ(service::FindCondition(now.status().conditions(), "Ready")->message(),
            "The certificate is up to date.");
}

TEST_F(CertificateReconcilerTest, RsaKeysComeFromThePool) {
  Create();
  ChangeSpec([](auto& spec) {
    spec.mutable_private_key()->set_algorithm(issuer::v1::PRIVATE_KEY_ALGORITHM_RSA);
    spec.mutable_private_key()->set_size(2048);
  });
  Issue();
  EXPECT_EQ(ReadKeyPair(SiteSecret()).key_spec, (pki::KeySpec{pki::KeyAlgorithm::kRsa, 2048}));
}

// Fault 112.
TEST_F(CertificateReconcilerTest, AnotherEncodingOfTheKeyIsAppliedAtOnce) {
  Create();
  Issue();
  const Secret before = SiteSecret();
  EXPECT_THAT(before.data().at(kPrivateKeyKey),
              testing::StartsWith("-----BEGIN PRIVATE KEY-----"));
  ChangeSpec([](auto& spec) {
    spec.mutable_private_key()->set_encoding(issuer::v1::PRIVATE_KEY_ENCODING_PKCS1);
  });
  Pass();
  const Secret after = SiteSecret();
  EXPECT_THAT(after.data().at(kPrivateKeyKey),
              testing::StartsWith("-----BEGIN EC PRIVATE KEY-----"));
  EXPECT_EQ(after.data().at(kCertificateKey), before.data().at(kCertificateKey));
  EXPECT_EQ(ReadKeyPair(after).problem.has_value(), false);
  EXPECT_EQ(Site().status().revision(), 1);
  EXPECT_EQ(RequestName(), "");
  Pass();
  EXPECT_EQ(SiteSecret().metadata().resource_version(), after.metadata().resource_version());
}

// Fault 112.
TEST_F(CertificateReconcilerTest, AnEncodingThatChangesOnTheWayIsThatOfTheNewKey) {
  Create();
  Pass();
  ChangeSpec([](auto& spec) {
    spec.mutable_private_key()->set_encoding(issuer::v1::PRIVATE_KEY_ENCODING_PKCS1);
  });
  Sign();
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_THAT(SiteSecret().data().at(kPrivateKeyKey),
              testing::StartsWith("-----BEGIN EC PRIVATE KEY-----"));
}

}  // namespace
}  // namespace certwright::issuer_service
