// Secrets that a Certificate must not take from others, and CAs that are replaced, with the
// real services.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "lib/pki/certificate.h"
#include "lib/pki/key.h"
#include "tests/faults/fault_test_world.h"

namespace certwright::fakes {
namespace {

namespace v1 = issuer::v1;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kAllow[] = "certwright.io/allow-certificate";

class SecretFaultsTest : public testing::Test {
 protected:
  void SetUp() override {
    world_ = StartWorld(BelievingCa());
    ASSERT_NE(world_, nullptr);
  }

  void CreateSecret(const std::string& name, const std::string& key, const std::string& value) {
    v1::CreateSecretRequest request;
    request.mutable_secret()->mutable_metadata()->set_name(name);
    (*request.mutable_secret()->mutable_data())[key] = value;
    v1::CreateSecretResponse response;
    CW_ASSERT_OK(harness::FromGrpc(
        world_->secrets().CreateSecret(harness::MakeContext().get(), request, &response)));
  }
  void UpdateSecret(const v1::Secret& secret) {
    v1::UpdateSecretRequest request;
    *request.mutable_secret() = secret;
    v1::UpdateSecretResponse response;
    CW_ASSERT_OK(harness::FromGrpc(
        world_->secrets().UpdateSecret(harness::MakeContext().get(), request, &response)));
  }
  v1::Secret Secret(const std::string& name) {
    const auto secret = world_->GetSecret(name);
    EXPECT_THAT(secret, base::IsOk()) << name;
    return secret.value_or(v1::Secret());
  }
  void HandOver(const std::string& name, const std::string& certificate) {
    v1::Secret secret = Secret(name);
    (*secret.mutable_metadata()->mutable_annotations())[kAllow] = certificate;
    UpdateSecret(secret);
  }
  void DeleteCertificate(const std::string& name) {
    v1::DeleteCertificateRequest request;
    request.set_name(name);
    v1::DeleteCertificateResponse response;
    CW_ASSERT_OK(harness::FromGrpc(world_->certificates().DeleteCertificate(
        harness::MakeContext().get(), request, &response)));
  }
  void CreateIssuer(const std::string& name, const v1::IssuerSpec& spec) {
    v1::CreateIssuerRequest request;
    request.mutable_issuer()->mutable_metadata()->set_name(name);
    *request.mutable_issuer()->mutable_spec() = spec;
    v1::CreateIssuerResponse response;
    CW_ASSERT_OK(harness::FromGrpc(
        world_->issuers().CreateIssuer(harness::MakeContext().get(), request, &response)));
  }
  v1::Issuer WaitForIssuer(const std::string& name, const std::string& reason) {
    v1::GetIssuerRequest request;
    request.set_name(name);
    v1::GetIssuerResponse response;
    const bool in_time = harness::WaitUntil(
        [&] {
          const auto got = harness::FromGrpc(
              world_->issuers().GetIssuer(harness::MakeContext().get(), request, &response));
          return got.ok() && ReadyReason(response.issuer()) == reason;
        },
        kTimeout);
    EXPECT_TRUE(in_time) << response.ShortDebugString();
    return response.issuer();
  }
  v1::IssuerSpec AcmeSpec(const std::string& account_secret) {
    v1::IssuerSpec spec = world_->MakeClusterIssuer({DnsName("zone")}).spec();
    spec.mutable_acme()->mutable_private_key_secret_ref()->set_name(account_secret);
    return spec;
  }

  // A Certificate of the ACME issuer, or of an Issuer of the tests.
  static v1::Certificate Naming(const std::string& name, const std::string& secret,
                                const std::string& issuer = "") {
    v1::Certificate certificate = FakeWorld::MakeCertificate(name, {DnsName(name)});
    certificate.mutable_spec()->set_secret_name(secret);
    if (issuer.empty()) return certificate;
    certificate.mutable_spec()->mutable_issuer_ref()->set_name(issuer);
    certificate.mutable_spec()->mutable_issuer_ref()->set_kind(meta::v1::ISSUER_KIND_ISSUER);
    return certificate;
  }
  v1::Certificate WaitForReason(const std::string& name, const std::string& reason) {
    return WaitFor(*world_, name, [&](const v1::Certificate& certificate) {
      return ReadyReason(certificate) == reason;
    });
  }
  // A root that signs itself, as the Certificate and the Issuer "root".
  void CreateRoot() {
    v1::IssuerSpec self;
    self.mutable_self_signed();
    CreateIssuer("self", self);
    v1::IssuerSpec ca;
    ca.mutable_ca()->set_secret_name("root");
    // Before its CA, as all of one file may be created at once.
    CreateIssuer("root", ca);
    v1::Certificate root = Naming("root", "root", "self");
    root.mutable_spec()->set_is_ca(true);
    root.mutable_spec()->clear_dns_names();
    root.mutable_spec()->set_common_name("Root");
    CW_ASSERT_OK(world_->CreateCertificate(root));
    CW_ASSERT_OK(world_->WaitUntilReady({"root"}, kTimeout));
    WaitForIssuer("root", "KeyPairVerified");
  }
  static absl::Status Verify(const v1::Secret& secret) {
    const auto chain = pki::ParseChainPem(secret.data().at("tls.crt"));
    const auto roots = pki::ParseChainPem(secret.data().at("ca.crt"));
    if (!chain.ok() || !roots.ok()) return absl::InvalidArgumentError("unreadable");
    const auto key = pki::PrivateKey::ParsePem(secret.data().at("tls.key"));
    if (!key.ok()) return key.status();
    if (!(key->public_key() == chain->front().public_key)) {
      return absl::InvalidArgumentError("another key");
    }
    return pki::VerifyAgainstRoots(
        *chain, *roots, std::max(chain->front().not_before, roots->front().not_before));
  }

  std::unique_ptr<FakeWorld> world_;
};

// Fault 100.
TEST_F(SecretFaultsTest, NoCertificateTakesASecretThatIsNotItsOwn) {
  CreateRoot();
  // The Certificate of the CA is gone, and its key pair still in use.
  DeleteCertificate("root");
  CreateSecret("opaque", "token", "a token");
  CreateSecret("tsig", "tsig-secret", "c2VjcmV0");
  CreateSecret("eab", "secret", "c2VjcmV0");
  CreateSecret("vault", "token", "a token");
  CreateSecret("password", "password", "changeit");
  v1::IssuerSpec acme = AcmeSpec("account");
  acme.mutable_acme()
      ->mutable_solvers(1)
      ->mutable_dns01()
      ->mutable_rfc2136()
      ->mutable_tsig_secret_secret_ref()
      ->set_name("tsig");
  CreateIssuer("acme", acme);
  WaitForIssuer("acme", "ACMEAccountRegistered");
  v1::IssuerSpec bound = AcmeSpec("bound-account");
  bound.mutable_acme()->mutable_external_account_binding()->set_key_id("kid");
  bound.mutable_acme()->mutable_external_account_binding()->mutable_key_secret_ref()->set_name(
      "eab");
  CreateIssuer("bound", bound);
  v1::IssuerSpec vault;
  vault.mutable_vault()->set_server("https://vault.example.test");
  vault.mutable_vault()->set_path("pki/sign/web");
  vault.mutable_vault()->mutable_token_secret_ref()->set_name("vault");
  CreateIssuer("vault", vault);
  v1::Certificate stores = Naming("stores", "stores-tls", "root");
  stores.mutable_spec()->mutable_keystores()->mutable_jks()->set_create(true);
  stores.mutable_spec()
      ->mutable_keystores()
      ->mutable_jks()
      ->mutable_password_secret_ref()
      ->set_name("password");
  CW_ASSERT_OK(world_->CreateCertificate(stores));
  CW_ASSERT_OK(world_->WaitUntilReady({"stores"}, kTimeout));

  const std::vector<std::pair<std::string, std::string>> attempts = {
      {"root", "Issuer default/root"},   {"account", "Issuer default/acme"},
      {"tsig", "Issuer default/acme"},   {"eab", "Issuer default/bound"},
      {"vault", "Issuer default/vault"}, {"password", "Certificate stores"},
      {"opaque", "allow-certificate"},
  };
  std::map<std::string, v1::Secret> before;
  for (const auto& [secret, says] : attempts) {
    SCOPED_TRACE(secret);
    before[secret] = Secret(secret);
    const std::string name = "takes-" + secret;
    CW_ASSERT_OK(world_->CreateCertificate(Naming(name, secret)));
    EXPECT_THAT(ReadyMessage(WaitForReason(name, "SecretNotOwned")),
                AllOf(HasSubstr("The Secret " + secret), HasSubstr(says)));
    if (secret == "opaque") continue;
    // Not even when its admin hands it over.
    HandOver(secret, name);
  }
  // That hand-over counts.
  HandOver("opaque", "takes-opaque");
  CW_ASSERT_OK(world_->WaitUntilReady({"takes-opaque"}, kTimeout));
  CW_EXPECT_OK(world_->VerifySecret("opaque", {DnsName("takes-opaque")}));
  EXPECT_EQ(Secret("opaque").data().at("token"), "a token");

  EXPECT_EQ(world_->ca().orders(), 1);
  for (const auto& [secret, says] : attempts) {
    if (secret == "opaque") continue;
    const v1::Certificate certificate = *world_->GetCertificate("takes-" + secret);
    EXPECT_EQ(ReadyReason(certificate), "SecretNotOwned") << secret;
    EXPECT_EQ(certificate.status().certificate_request_name(), "") << secret;
    const v1::Secret now = Secret(secret);
    EXPECT_EQ(now.metadata().annotations().at(kAllow), "takes-" + secret);
    ASSERT_EQ(now.data().size(), before[secret].data().size()) << secret;
    for (const auto& [key, value] : before[secret].data()) {
      EXPECT_EQ(now.data().at(key), value) << secret << " " << key;
    }
  }
  // What the refused ones left alone still serves.
  CW_ASSERT_OK(world_->CreateCertificate(Naming("last", "last-tls", "root")));
  CW_EXPECT_OK(world_->WaitUntilReady({"last"}, kTimeout));
}

// Fault 100.
TEST_F(SecretFaultsTest, OfTwoCertificatesOneHasTheSecretAndTheOtherWaitsForIt) {
  CW_ASSERT_OK(world_->CreateCertificate(Naming("first", "shared")));
  CW_ASSERT_OK(world_->CreateCertificate(Naming("second", "shared")));
  CW_ASSERT_OK(world_->WaitUntilReady({"first"}, kTimeout));
  EXPECT_THAT(ReadyMessage(WaitForReason("second", "IncorrectCertificate")),
              AllOf(HasSubstr("shared"), HasSubstr("Certificate first")));
  EXPECT_EQ(world_->ca().orders(), 1);
  // What the first has left may still serve.
  DeleteCertificate("first");
  EXPECT_THAT(ReadyMessage(WaitForReason("second", "SecretNotOwned")),
              AllOf(HasSubstr("shared"), HasSubstr("Certificate first"), HasSubstr(kAllow)));
  CW_EXPECT_OK(world_->VerifySecret("shared", {DnsName("first")}));
  EXPECT_EQ(world_->ca().orders(), 1);
  HandOver("shared", "second");
  CW_ASSERT_OK(world_->WaitUntilReady({"second"}, kTimeout));
  CW_EXPECT_OK(world_->VerifySecret("shared", {DnsName("second")}));
  EXPECT_EQ(world_->ca().orders(), 2);
}

// Fault 101.
TEST_F(SecretFaultsTest, TheNamesOfNextKeysAreReserved) {
  EXPECT_THAT(world_->CreateCertificate(Naming("own", "own-next-key")),
              base::StatusIs(absl::StatusCode::kInvalidArgument));
  // One that belongs to nobody is a name like others.
  CW_ASSERT_OK(world_->CreateCertificate(Naming("free", "my-next-key")));
  CW_ASSERT_OK(world_->WaitUntilReady({"free"}, kTimeout));

  Create(*world_, "www");
  CW_ASSERT_OK(world_->CreateCertificate(Naming("thief", "www-next-key")));
  CreateIssuer("thief", AcmeSpec("www-next-key"));
  EXPECT_THAT(ReadyMessage(WaitForReason("thief", "SecretNotOwned")),
              AllOf(HasSubstr("www-next-key"), HasSubstr("Certificate www")));
  EXPECT_THAT(ReadyMessage(WaitForIssuer("thief", "SecretNotOwned")),
              AllOf(HasSubstr("www-next-key"), HasSubstr("Certificate www")));
  CW_ASSERT_OK(world_->WaitUntilReady({"www"}, kTimeout));
  Renew(*world_, "www");
  WaitForRevision(*world_, "www", 2);
  CW_EXPECT_OK(world_->VerifySecret("www-tls", {DnsName("www")}));
  EXPECT_EQ(world_->ca().orders(), 3);

  // A Certificate that comes when the name is in use already is the one that waits.
  Create(*world_, "my");
  EXPECT_THAT(ReadyMessage(WaitForReason("my", "SecretNotOwned")), HasSubstr("my-next-key"));
  Renew(*world_, "free");
  WaitForRevision(*world_, "free", 2);
  EXPECT_EQ(world_->ca().orders(), 4);
  DeleteCertificate("free");
  v1::DeleteSecretRequest request;
  request.set_name("my-next-key");
  v1::DeleteSecretResponse response;
  CW_ASSERT_OK(harness::FromGrpc(
      world_->secrets().DeleteSecret(harness::MakeContext().get(), request, &response)));
  CW_EXPECT_OK(world_->WaitUntilReady({"my"}, kTimeout));

  // Nobody's next key any more: the Issuer, which needs it too, has it.
  DeleteCertificate("www");
  WaitForIssuer("thief", "ACMEAccountRegistered");
  EXPECT_THAT(ReadyMessage(WaitForReason("thief", "SecretNotOwned")),
              HasSubstr("Issuer default/thief"));
}

// Faults 111 and 112.
TEST_F(SecretFaultsTest, LeavesAndWhatIsTrustedFollowTheCa) {
  CreateRoot();
  const std::vector<std::string> leaves = {"a", "b", "c"};
  for (const std::string& leaf : leaves) {
    CW_ASSERT_OK(world_->CreateCertificate(Naming(leaf, leaf + "-tls", "root")));
  }
  CW_ASSERT_OK(world_->WaitUntilReady(leaves, kTimeout));
  const std::string before = Secret("root").data().at("tls.crt");
  EXPECT_EQ(Secret("a-tls").data().at("ca.crt"), before);

  // With a key and a certificate of its own.
  Renew(*world_, "root");
  WaitForRevision(*world_, "root", 2);
  const std::string after = Secret("root").data().at("tls.crt");
  ASSERT_NE(after, before);
  for (const std::string& leaf : leaves) {
    WaitForRevision(*world_, leaf, 2);
    CW_EXPECT_OK(Verify(Secret(leaf + "-tls")));
    EXPECT_EQ(Secret(leaf + "-tls").data().at("ca.crt"), after);
  }

  // With the same key: the leaves stay, and what is trusted follows.
  v1::UpdateCertificateRequest update;
  *update.mutable_certificate() = *world_->GetCertificate("root");
  update.mutable_certificate()->mutable_spec()->mutable_private_key()->set_rotation_policy(
      v1::ROTATION_POLICY_NEVER);
  update.mutable_certificate()->mutable_metadata()->clear_resource_version();
  v1::UpdateCertificateResponse updated;
  CW_ASSERT_OK(harness::FromGrpc(world_->certificates().UpdateCertificate(
      harness::MakeContext().get(), update, &updated)));
  Renew(*world_, "root");
  WaitForRevision(*world_, "root", 3);
  const std::string renewed = Secret("root").data().at("tls.crt");
  ASSERT_NE(renewed, after);
  for (const std::string& leaf : leaves) {
    EXPECT_TRUE(harness::WaitUntil(
        [&] { return Secret(leaf + "-tls").data().at("ca.crt") == renewed; }, kTimeout));
    CW_EXPECT_OK(Verify(Secret(leaf + "-tls")));
    EXPECT_EQ(world_->GetCertificate(leaf)->status().revision(), 2);
  }

  // Nor does another encoding of a key ask for another certificate.
  *update.mutable_certificate() = *world_->GetCertificate("a");
  update.mutable_certificate()->mutable_metadata()->clear_resource_version();
  update.mutable_certificate()->mutable_spec()->mutable_private_key()->set_encoding(
      v1::PRIVATE_KEY_ENCODING_PKCS1);
  CW_ASSERT_OK(harness::FromGrpc(world_->certificates().UpdateCertificate(
      harness::MakeContext().get(), update, &updated)));
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        return testing::Matches(StartsWith("-----BEGIN EC PRIVATE KEY-----"))(
            Secret("a-tls").data().at("tls.key"));
      },
      kTimeout));
  CW_EXPECT_OK(Verify(Secret("a-tls")));
  EXPECT_EQ(world_->GetCertificate("a")->status().revision(), 2);
}

}  // namespace
}  // namespace certwright::fakes
