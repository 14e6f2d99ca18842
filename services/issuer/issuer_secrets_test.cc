// Where issuers keep their keys.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/key.h"
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
  IssuerReconciler reconciler_{Environment(), *stores_, accounts_, secret_users_};
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

}  // namespace
}  // namespace certwright::issuer_service
