// What issuers keep in Secrets, and what they note of it.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/test_ca.h"
#include "services/issuer/given_certificate.h"
#include "services/issuer/issuer_reconciler.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Issuer;
using issuer::v1::Secret;
using testing::AllOf;
using testing::HasSubstr;

constexpr char kKey[] = "Issuer web/ca";

class IssuerSecretsTest : public IssuerWorld {
 protected:
  static issuer::v1::IssuerSpec AcmeSpec(const std::string& secret) {
    issuer::v1::IssuerSpec spec;
    issuer::v1::AcmeIssuer& acme = *spec.mutable_acme();
    acme.set_server("https://ca.test/directory");
    acme.mutable_private_key_secret_ref()->set_name(secret);
    acme.mutable_private_key_secret_ref()->set_key("tls.key");
    return spec;
  }
  void CreateIssuer(const issuer::v1::IssuerSpec& spec) {
    Issuer issuer;
    issuer.mutable_metadata()->set_namespace_("web");
    issuer.mutable_metadata()->set_name("ca");
    *issuer.mutable_spec() = spec;
    CW_ASSERT_OK(Await(stores_->issuers.Create(Context(), issuer)));
  }
  void Pass() { CW_ASSERT_OK(Await(reconciler_.Reconcile(Context(), kKey))); }
  std::string Ready() { return ConditionOf(Read(stores_->issuers, "ca")); }
  std::string Message() {
    const Issuer issuer = Read(stores_->issuers, "ca");
    const auto* ready = service::FindCondition(issuer.status().conditions(), "Ready");
    return ready == nullptr ? "" : ready->message();
  }

  Accounts accounts_{Environment(), *stores_, "cluster-secrets"};
  SecretUsers secret_users_;
  PrivateCas private_cas_{[](const std::string&) { return std::vector<std::string>(); },
                          [](const std::string&) {}};
  IssuerReconciler reconciler_{Environment(), *stores_, accounts_, secret_users_, private_cas_};
};

// Fault 101.
TEST_F(IssuerSecretsTest, NoAccountKeyIsKeptWhereACertificateReplacesIt) {
  const std::string pem(pki::PrivateKey::Generate(pki::KeySpec())->ToPem().Reveal());
  Secret secret;
  secret.mutable_metadata()->set_namespace_("web");
  secret.mutable_metadata()->set_name("ca-account-key");
  (*secret.mutable_data())["tls.key"] = pem;
  CreateIssuer(AcmeSpec("ca-account-key"));
  Secret written = secret;
  (*written.mutable_metadata()->mutable_annotations())[kCertificateNameAnnotation] = "site";
  Secret next_key = secret;
  (*next_key.mutable_metadata()->mutable_labels())[kNextPrivateKeyLabel] = "true";
  for (const Secret& owned : {written, next_key}) {
    CW_ASSERT_OK(Await(stores_->secrets.Create(Context(), owned)));
    Pass();
    EXPECT_EQ(Ready(), "False SecretNotOwned");
    EXPECT_THAT(Message(),
                AllOf(HasSubstr("ca-account-key"), HasSubstr("privateKeySecretRef")));
    CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "ca-account-key")));
  }
  // Nor is one made where the next key of a Certificate is to wait.
  issuer::v1::Certificate certificate;
  certificate.mutable_metadata()->set_namespace_("web");
  certificate.mutable_metadata()->set_name("site");
  Issuer issuer = Read(stores_->issuers, "ca");
  *issuer.mutable_spec() = AcmeSpec("site-next-key");
  CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  secret_users_.Replace({}, UsesOf(certificate));
  Pass();
  EXPECT_EQ(Ready(), "False SecretNotOwned");
  EXPECT_FALSE(Exists(stores_->secrets, "site-next-key"));
}

// Fault 111.
TEST_F(IssuerSecretsTest, NotesWhatACaIssuerSignsWithAndSinceWhen) {
  issuer::v1::IssuerSpec spec;
  spec.mutable_ca()->set_secret_name("ca");
  CreateIssuer(spec);
  const auto put = [&](const pki::TestCa& ca) {
    Secret secret = Read(stores_->secrets, "ca");
    (*secret.mutable_data())[kCertificateKey] = ca.certificate().Pem();
    (*secret.mutable_data())[kPrivateKeyKey] = std::string(ca.key().ToPem().Reveal());
    CW_ASSERT_OK(Await(stores_->secrets.Update(Context(), secret)));
  };
  CreateSecret("web", "ca", "users", "own");
  const pki::TestCa first;
  put(first);
  const absl::Time since = clock_.Now();
  Pass();
  EXPECT_EQ(Ready(), "True KeyPairVerified");
  const auto noted = Read(stores_->issuers, "ca").status().ca();
  EXPECT_EQ(noted.sha256_fingerprint(), FingerprintOf(first.certificate()));
  EXPECT_EQ(service::FromProto(noted.since()), since);
  ASSERT_NE(private_cas_.Of(kKey), nullptr);
  EXPECT_EQ(private_cas_.Of(kKey)->since, since);
  EXPECT_EQ(private_cas_.Of(kKey)->certificate.der, first.certificate().der);

  // The same one stays so, over a time in which the issuer cannot sign.
  clock_.Advance(absl::Hours(1));
  Secret secret = Read(stores_->secrets, "ca");
  secret.mutable_data()->erase(kPrivateKeyKey);
  CW_ASSERT_OK(Await(stores_->secrets.Update(Context(), secret)));
  Pass();
  EXPECT_EQ(private_cas_.Of(kKey), nullptr);
  put(first);
  Pass();
  EXPECT_EQ(private_cas_.Of(kKey)->since, since);

  const pki::TestCa second;
  put(second);
  Pass();
  EXPECT_EQ(private_cas_.Of(kKey)->since, since + absl::Hours(1));
  EXPECT_EQ(private_cas_.Of(kKey)->certificate.der, second.certificate().der);
  EXPECT_EQ(Read(stores_->issuers, "ca").status().ca().sha256_fingerprint(),
            FingerprintOf(second.certificate()));

  CW_ASSERT_OK(Await(stores_->issuers.Delete(Context(), "web", "ca")));
  Pass();
  EXPECT_EQ(private_cas_.Of(kKey), nullptr);
}

}  // namespace
}  // namespace certwright::issuer_service
