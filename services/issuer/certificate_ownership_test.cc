// What is a Certificate's own: its requests, its certificate, and the Secrets that it writes.
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "services/issuer/certificate_reconciler_testing.h"
#include "services/issuer/given_certificate.h"
#include "services/issuer/issuance_resources.h"
#include "services/issuer/rate_limits.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using issuer::v1::Secret;

TEST_F(CertificateReconcilerTest, ARequestsNameIsNeverUsedAgain) {
  std::set<std::string> names;
  for (int i = 0; i < 2; ++i) {
    Create();
    // Of the same revision, after a failure and after a changed spec.
    for (int issuance = 0; issuance < 3; ++issuance) {
      Pass();
      ASSERT_NE(RequestName(), "");
      EXPECT_TRUE(names.insert(RequestName()).second) << RequestName();
      CW_ASSERT_OK(Await(stores_->requests.Delete(Context(), "web", RequestName())));
      ChangeSpec([&](auto& spec) { spec.add_dns_names(absl::StrCat(issuance, ".example")); });
    }
    CW_ASSERT_OK(Await(stores_->certificates.Delete(Context(), "web", "site")));
  }
}

TEST_F(CertificateReconcilerTest, ANameThatSomebodyElseHasTakenIsPassedOver) {
  Create();
  CertificateRequest squatter;
  squatter.mutable_metadata()->set_namespace_("web");
  squatter.mutable_metadata()->set_name(issuer_service::RequestName(Site(), 0));
  CW_ASSERT_OK(Await(stores_->requests.Create(Context(), squatter)));
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "Issuing"), "True DoesNotExist");
  EXPECT_EQ(Request().metadata().owner().uid(), Site().metadata().uid());
}

TEST_F(CertificateReconcilerTest, ARequestThatAUserMadeUnderItsNameIsNotTheCertificates) {
  Create();
  Pass();
  const CertificateRequest made = Request();
  CW_ASSERT_OK(Await(stores_->requests.Delete(Context(), "web", RequestName())));
  CertificateRequest others = made;
  others.mutable_metadata()->clear_owner();
  CW_ASSERT_OK(Await(stores_->requests.Create(Context(), others)));
  Sign();
  Pass();
  EXPECT_FALSE(Exists(stores_->secrets, "site-tls"));
  // One that was lost is made again at the pace of those that nobody has asked for.
  clock_.Advance(absl::Hours(1));
  Pass();
  EXPECT_FALSE(Exists(stores_->secrets, "site-tls"));
  EXPECT_NE(RequestName(), made.metadata().name());
}

TEST_F(CertificateReconcilerTest, AnothersCertificateInTheSecretIsNotTakenForItsOwn) {
  Create();
  Issue();
  const Certificate before = Site();
  PutAnotherCertificate();
  // As that of a Certificate which came before pairs were kept.
  CW_ASSERT_OK(Await(stores_->kept_key_pairs.Delete(Context(), "web", "site")));
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_EQ(Site().status().sha256_fingerprint(), before.status().sha256_fingerprint());
  EXPECT_FALSE(Site().status().has_renewal_info());

  // Advice that is there all the same replaces nothing.
  Certificate site = Site();
  issuer::v1::RenewalInfo& info = *site.mutable_status()->mutable_renewal_info();
  info.set_certificate_id(ReadKeyPair(SiteSecret()).certificate_id);
  for (auto* time : {info.mutable_window_start(), info.mutable_window_end(),
                     info.mutable_selected_time(), info.mutable_suggested_time()}) {
    *time = service::ToProto(clock_.Now());
  }
  WriteStatus(stores_->certificates, site);
  Pass();
  ASSERT_NE(RequestName(), "");
  EXPECT_EQ(Request().spec().replaces(), "");
  EXPECT_FALSE(Request().metadata().annotations().contains(kRenewsAnnotation));
}

TEST_F(CertificateReconcilerTest,
       ACertificateThatCameBeforeStatusesNotedItIsKnownByItsRequest) {
  Create();
  Issue();
  Certificate site = Site();
  const std::string fingerprint = site.status().sha256_fingerprint();
  site.mutable_status()->clear_serial_number();
  site.mutable_status()->clear_sha256_fingerprint();
  WriteStatus(stores_->certificates, site);
  Pass();
  EXPECT_EQ(Site().status().sha256_fingerprint(), "");
  KnowRequests();
  Pass();
  EXPECT_EQ(Site().status().sha256_fingerprint(), fingerprint);

  // But not another one that somebody has put there.
  site.mutable_metadata()->clear_resource_version();
  WriteStatus(stores_->certificates, site);
  PutAnotherCertificate();
  Pass();
  EXPECT_EQ(Site().status().sha256_fingerprint(), "");
}

TEST_F(CertificateReconcilerTest, NoKeyIsKeptThatWasNotMadeForTheCertificate) {
  const pki::PrivateKey others = *pki::PrivateKey::Generate(pki::KeySpec());
  Secret secret;
  secret.mutable_metadata()->set_namespace_("web");
  secret.mutable_metadata()->set_name("site-tls");
  (*secret.mutable_metadata()->mutable_annotations())[kCertificateNameAnnotation] = "gone";
  (*secret.mutable_data())[kPrivateKeyKey] = std::string(others.ToPem().Reveal());
  CW_ASSERT_OK(Await(stores_->secrets.Create(Context(), secret)));
  Create();
  ChangeSpec([](auto& spec) {
    spec.mutable_private_key()->set_rotation_policy(issuer::v1::ROTATION_POLICY_NEVER);
  });
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "False SecretNotOwned");
  EXPECT_EQ(RequestName(), "");
  EXPECT_EQ(SiteSecret().data().at(kPrivateKeyKey), others.ToPem().Reveal());
}

TEST_F(CertificateReconcilerTest, TheKeyOfASecretThatItsAdminMeansForTheCertificateIsKept) {
  const pki::PrivateKey own = *pki::PrivateKey::Generate(pki::KeySpec());
  Secret secret;
  secret.mutable_metadata()->set_namespace_("web");
  secret.mutable_metadata()->set_name("site-tls");
  (*secret.mutable_metadata()->mutable_annotations())[kAllowCertificateAnnotation] = "site";
  (*secret.mutable_data())[kPrivateKeyKey] = std::string(own.ToPem().Reveal());
  (*secret.mutable_data())["users"] = "own";
  CW_ASSERT_OK(Await(stores_->secrets.Create(Context(), secret)));
  Create();
  ChangeSpec([](auto& spec) {
    spec.mutable_private_key()->set_rotation_policy(issuer::v1::ROTATION_POLICY_NEVER);
  });
  Pass();
  EXPECT_TRUE(pki::ParseCsrPem(Request().spec().request())->public_key == own.public_key());
  Sign();
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_EQ(SiteSecret().metadata().annotations().at(kCertificateNameAnnotation), "site");
  EXPECT_EQ(SiteSecret().data().at("users"), "own");
}

// Fault 100.
TEST_F(CertificateReconcilerTest, SecretsThatWereNotMadeForItAreLeftAlone) {
  CreateSecret("web", "site-tls", kPrivateKeyKey, "an account key");
  Create();
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "False SecretNotOwned");
  EXPECT_EQ(RequestName(), "");
  EXPECT_EQ(SiteSecret().data().at(kPrivateKeyKey), "an account key");

  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "site-tls")));
  CreateSecret("web", "site-next-key", "token", "a token");
  EXPECT_EQ(Pass().requeue_after, std::nullopt);
  EXPECT_EQ(ConditionOf(Site()), "False SecretNotOwned");
  EXPECT_EQ(RequestName(), "");
  EXPECT_EQ(Read(stores_->secrets, "site-next-key").data().at("token"), "a token");
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "site-next-key")));
  Issue();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
}

TEST_F(CertificateReconcilerTest, LeavesTheSecretOfAnotherCertificateAlone) {
  Create();
  Issue();
  const Secret before = SiteSecret();
  Create("rival");
  Pass("rival");
  const Certificate rival = Read(stores_->certificates, "rival");
  EXPECT_EQ(ConditionOf(rival), "False IncorrectCertificate");
  EXPECT_EQ(rival.status().certificate_request_name(), "");
  EXPECT_EQ(SiteSecret().metadata().resource_version(), before.metadata().resource_version());

  const SecretUses uses = UsesOf(Site());
  CW_ASSERT_OK(Await(stores_->certificates.Delete(Context(), "web", "site")));
  secret_users_.Replace(uses, {});
  Pass("rival");
  EXPECT_EQ(ConditionOf(Read(stores_->certificates, "rival")), "False SecretNotOwned");
  EXPECT_EQ(SiteSecret().metadata().resource_version(), before.metadata().resource_version());

  Secret handed_over = SiteSecret();
  (*handed_over.mutable_metadata()->mutable_annotations())[kAllowCertificateAnnotation] =
      "rival";
  CW_ASSERT_OK(Await(stores_->secrets.Update(Context(), handed_over)));
  Pass("rival");
  EXPECT_NE(Read(stores_->certificates, "rival").status().certificate_request_name(), "");
}

// Fault 100.
TEST_F(CertificateReconcilerTest, OfTwoThatNameASecretWhichIsNotThereTheOlderMakesIt) {
  Create();
  clock_.Advance(absl::Seconds(1));
  Create("rival");
  Pass("rival");
  EXPECT_EQ(ConditionOf(Read(stores_->certificates, "rival")), "False IncorrectCertificate");
  EXPECT_EQ(Await(stores_->requests.List(Context(), {}))->resources.size(), 0u);
  Issue();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
}

// Fault 100.
TEST_F(CertificateReconcilerTest, ASecretThatSomebodyElseMakesMeanwhileIsNotOverwritten) {
  Create();
  Pass();
  Sign();
  CreateSecret("web", "site-tls", "token", "a token");
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "False SecretNotOwned");
  EXPECT_EQ(SiteSecret().data().size(), 1u);
  // What has come for it is not lost.
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "site-tls")));
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_EQ(Await(stores_->requests.List(Context(), {}))->resources.size(), 1u);
}

// Fault 101.
TEST_F(CertificateReconcilerTest, APairThatDoesNotFitReplacesNothing) {
  Create();
  Issue();
  const Secret good = SiteSecret();
  const std::string other_key(pki::PrivateKey::Generate(pki::KeySpec())->ToPem().Reveal());
  const auto change_key = [](const std::string& value) {
    return [value](Secret& next_key) { (*next_key.mutable_data())[kPrivateKeyKey] = value; };
  };
  const std::vector<std::function<void(Secret&)>> changes = {
      change_key(other_key),
      change_key("garbage"),
      change_key(""),
      [](Secret& next_key) { next_key.mutable_data()->clear(); },
  };
  int attempts = 0;
  ChangeSpec([](auto& spec) { spec.add_usages("client auth"); });
  for (const auto& change : changes) {
    Pass();
    ASSERT_NE(RequestName(), "");
    Secret next_key = Read(stores_->secrets, "site-next-key");
    change(next_key);
    CW_ASSERT_OK(Await(stores_->secrets.Update(Context(), next_key)));
    Sign();
    Pass();
    EXPECT_EQ(ConditionOf(Site(), "Issuing"), "False NextKeyLost");
    EXPECT_EQ(Site().status().failed_issuance_attempts(), ++attempts);
    EXPECT_EQ(SiteSecret().metadata().resource_version(), good.metadata().resource_version());
    EXPECT_EQ(RequestName(), "");
    const auto wait = Pass().requeue_after;
    ASSERT_TRUE(wait.has_value());
    EXPECT_GE(*wait, absl::Minutes(1));
    EXPECT_EQ(RequestName(), "");
    clock_.Advance(*wait);
  }
  Issue();
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_FALSE(ReadKeyPair(SiteSecret()).problem.has_value());
}

// Fault 101.
TEST_F(CertificateReconcilerTest, ASecretOfAUsersInPlaceOfTheNextKeyIsLeftAlone) {
  Create();
  Pass();
  Sign();
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "site-next-key")));
  CreateSecret("web", "site-next-key", kPrivateKeyKey, "a user's");
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "Issuing"), "False NextKeyLost");
  clock_.Advance(absl::Minutes(1));
  Pass();
  EXPECT_EQ(ConditionOf(Site()), "False SecretNotOwned");
  EXPECT_EQ(Read(stores_->secrets, "site-next-key").data().at(kPrivateKeyKey), "a user's");
  EXPECT_FALSE(Exists(stores_->secrets, "site-tls"));
}

}  // namespace
}  // namespace certwright::issuer_service
