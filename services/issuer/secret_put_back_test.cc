// What others do to a Certificate's Secret costs no certificate while its pair is kept.
#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "services/issuer/certificate_reconciler_testing.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::Secret;
using testing::HasSubstr;

constexpr absl::Duration kHour = absl::Hours(1);
constexpr absl::Duration kDay = absl::Hours(24);

class SecretPutBackTest : public CertificateReconcilerTest {
 protected:
  void ChangeSecret(const std::function<void(Secret&)>& change) {
    Secret secret = SiteSecret();
    change(secret);
    CW_ASSERT_OK(Await(stores_->secrets.Update(Context(), secret)));
  }
  void DeleteSecret() {
    CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "site-tls")));
  }
  void ExpectPair(const Secret& as) {
    for (const char* key : {kCertificateKey, kPrivateKeyKey, kCaKey}) {
      EXPECT_EQ(SiteSecret().data().at(key), as.data().at(key)) << key;
    }
    EXPECT_EQ(ConditionOf(Site()), "True Ready");
    EXPECT_EQ(Site().status().revision(), 1);
    EXPECT_EQ(RequestName(), "");
  }
};

// Fault 99.
TEST_F(SecretPutBackTest, WhateverWasDoneToItIsUndoneWithoutAskingTheCa) {
  Create();
  Issue();
  const Secret given = SiteSecret();
  const std::vector<std::function<void()>> deeds = {
      [&] { DeleteSecret(); },
      [&] {
        ChangeSecret([](Secret& secret) { (*secret.mutable_data())[kCertificateKey] = "x"; });
      },
      [&] {
        ChangeSecret([](Secret& secret) { secret.mutable_data()->erase(kPrivateKeyKey); });
      },
      [&] {
        const pki::PrivateKey other = *pki::PrivateKey::Generate(pki::KeySpec());
        ChangeSecret([&](Secret& secret) {
          (*secret.mutable_data())[kPrivateKeyKey] = std::string(other.ToPem().Reveal());
        });
      },
      [&] {
        pki::SubjectAltNames names;
        names.dns_names = {"other.example"};
        const pki::TestIdentity other = ca_.Issue(names);
        ChangeSecret([&](Secret& secret) {
          (*secret.mutable_data())[kCertificateKey] = other.chain_pem;
          (*secret.mutable_data())[kPrivateKeyKey] = other.key_pem;
        });
      },
      [&] { PutAnotherCertificate(); },
      [&] {
        ChangeSecret([](Secret& secret) {
          (*secret.mutable_metadata()->mutable_annotations())[kIssuerNameAnnotation] = "x";
        });
      },
      [&] {
        ChangeSecret([](Secret& secret) {
          (*secret.mutable_metadata()->mutable_annotations())[kRequestDigestAnnotation] =
              RequestDigest(issuer::v1::CertificateSpec());
        });
      },
  };
  for (std::size_t i = 0; i < deeds.size(); ++i) {
    SCOPED_TRACE(i);
    deeds[i]();
    Pass();
    ExpectPair(given);
    EXPECT_EQ(ConditionOf(Site(), "SecretOverwritten"), "True WrittenByOthers");
    EXPECT_EQ(Site().status().secret_repairs().count(), 1);
    clock_.Advance(kHour);
    Pass();
    EXPECT_EQ(ConditionOf(Site(), "SecretOverwritten"), "");
  }
}

// Fault 99.
TEST_F(SecretPutBackTest, AWriterWhoAnswersEachTimeIsAnsweredEverLater) {
  Create();
  Issue();
  const Secret given = SiteSecret();
  const absl::Time begin = clock_.Now();
  int written = 0;
  while (clock_.Now() < begin + kHour) {
    DeleteSecret();
    ++written;
    const auto wait = Pass().requeue_after;
    if (Exists(stores_->secrets, "site-tls")) continue;
    ASSERT_TRUE(wait.has_value());
    EXPECT_EQ(ConditionOf(Site()), "False DoesNotExist");
    clock_.Advance(*wait);
    Pass();
  }
  EXPECT_GT(written, 20);
  EXPECT_LE(written, 70);
  ExpectPair(given);
  const Certificate site = Site();
  EXPECT_EQ(site.status().secret_repairs().count(), written);
  EXPECT_THAT(
      service::FindCondition(site.status().conditions(), "SecretOverwritten")->message(),
      HasSubstr(absl::StrCat(written, " times")));
}

// Fault 99.
TEST_F(SecretPutBackTest, ASecretOfAnotherNameGetsThePairToo) {
  Create();
  Issue();
  const Secret given = SiteSecret();
  ChangeSpec([](auto& spec) { spec.set_secret_name("new-tls"); });
  Pass();
  EXPECT_EQ(Read(stores_->secrets, "new-tls").data().at(kPrivateKeyKey),
            given.data().at(kPrivateKeyKey));
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_EQ(Site().status().revision(), 1);
  // Nobody but the user has done that.
  EXPECT_EQ(ConditionOf(Site(), "SecretOverwritten"), "");
}

// Fault 99.
TEST_F(SecretPutBackTest, WhatNoLongerServesIsNotPutBack) {
  Create();
  Issue();
  ChangeSpec([](auto& spec) { spec.add_dns_names("b.example"); });
  DeleteSecret();
  Pass();
  EXPECT_FALSE(Exists(stores_->secrets, "site-tls"));
  Sign();
  Pass();
  EXPECT_EQ(Site().status().revision(), 2);

  Certificate site = Site();
  site.mutable_status()->mutable_revocation()->set_serial_number(site.status().serial_number());
  WriteStatus(stores_->certificates, site);
  DeleteSecret();
  Pass();
  EXPECT_FALSE(Exists(stores_->secrets, "site-tls"));
  clock_.Advance(kHour);
  Issue();
  EXPECT_EQ(Site().status().revision(), 3);

  DeleteSecret();
  clock_.Advance(91 * kDay);
  Pass();
  EXPECT_FALSE(Exists(stores_->secrets, "site-tls"));
  EXPECT_NE(RequestName(), "");
}

// Fault 99.
TEST_F(SecretPutBackTest, APairThatIsDueForRenewalServesUntilItsSuccessorComes) {
  Create();
  Issue();
  const Secret given = SiteSecret();
  AdvanceToRenewal();
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "Issuing"), "True Renewing");
  const std::string request = RequestName();
  ASSERT_NE(request, "");
  DeleteSecret();
  Pass();
  EXPECT_EQ(SiteSecret().data().at(kPrivateKeyKey), given.data().at(kPrivateKeyKey));
  EXPECT_EQ(RequestName(), request);
  Pass();
  EXPECT_EQ(RequestName(), request);
  DeleteSecret();
  Sign();
  Pass();
  EXPECT_EQ(Site().status().revision(), 2);
  EXPECT_NE(SiteSecret().data().at(kPrivateKeyKey), given.data().at(kPrivateKeyKey));
}

// Fault 99.
TEST_F(SecretPutBackTest, ThePairOfAnEarlierCertificateOfTheNameIsNotUsed) {
  Create();
  Issue();
  const Secret given = SiteSecret();
  CW_ASSERT_OK(Await(stores_->certificates.Delete(Context(), "web", "site")));
  DeleteSecret();
  Create();
  Issue();
  EXPECT_NE(SiteSecret().data().at(kPrivateKeyKey), given.data().at(kPrivateKeyKey));
}

// Fault 98.
TEST_F(SecretPutBackTest, StatusSaysWhenRenewalIsNotWhenItWasAskedFor) {
  Create();
  ChangeSpec([](auto& spec) { spec.mutable_renew_before()->set_seconds(2160 * 3600 - 60); });
  Issue();
  EXPECT_EQ(ConditionOf(Site(), "RenewalAdjusted"), "True RenewBeforeTooLong");
  EXPECT_GT(*Pass().requeue_after, 50 * kDay);
  EXPECT_EQ(Site().status().revision(), 1);
  ChangeSpec([](auto& spec) { spec.mutable_renew_before()->set_seconds(30 * 24 * 3600); });
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "RenewalAdjusted"), "");
}

// Fault 98.
TEST_F(SecretPutBackTest, FiveIssuancesWereBegunWhoeverAsksForMore) {
  Create();
  Issue();
  for (int i = 0; i < 4; ++i) {
    ChangeSpec([&](auto& spec) { spec.set_dns_names(0, absl::StrCat(i, ".example")); });
    Issue();
  }
  EXPECT_EQ(Site().status().revision(), 5);
  ChangeSpec([&](auto& spec) { spec.set_dns_names(0, "a.example"); });
  EXPECT_EQ(Pass().requeue_after, kHour);
  EXPECT_EQ(RequestName(), "");
  EXPECT_EQ(ConditionOf(Site(), "IssuancePaced"), "True RequestChanged");
  const Certificate site = Site();
  EXPECT_THAT(service::FindCondition(site.status().conditions(), "IssuancePaced")->message(),
              HasSubstr("5 were begun lately"));
  // It is noted in the status: another process knows it too.
  CertificateReconciler restarted(Environment(), *stores_, requests_, secret_users_,
                                  private_cas_);
  clock_.Advance(kHour - absl::Seconds(1));
  const auto result = Await(restarted.Reconcile(Context(), "web/site"));
  ASSERT_THAT(result, base::IsOk());
  EXPECT_EQ(result->requeue_after, absl::Seconds(1));
  clock_.Advance(absl::Seconds(1));
  Issue();
  EXPECT_EQ(Site().status().revision(), 6);
  EXPECT_EQ(ConditionOf(Site(), "IssuancePaced"), "");
}

// Fault 115.
TEST_F(SecretPutBackTest, AnOverdueRenewalWaitsForMinutesAlsoAfterARestart) {
  Create();
  Issue();
  clock_.Advance(70 * kDay);
  const absl::Time begin = clock_.Now();
  const absl::Duration wait = *Pass().requeue_after;
  EXPECT_GT(wait, absl::Minutes(3));
  EXPECT_LE(wait, absl::Minutes(10));
  EXPECT_EQ(ConditionOf(Site()), "True Ready");
  EXPECT_EQ(RequestName(), "");
  clock_.Advance(absl::Minutes(2));
  CertificateReconciler restarted(Environment(), *stores_, requests_, secret_users_,
                                  private_cas_);
  const auto result = Await(restarted.Reconcile(Context(), "web/site"));
  ASSERT_THAT(result, base::IsOk());
  EXPECT_LE(absl::AbsDuration(clock_.Now() + *result->requeue_after - begin - wait),
            absl::Microseconds(1));
  clock_.Advance(*result->requeue_after + absl::Microseconds(1));
  Issue();
  EXPECT_EQ(Site().status().revision(), 2);
  EXPECT_FALSE(Site().status().has_overdue_renewal_time());
}

}  // namespace
}  // namespace certwright::issuer_service
