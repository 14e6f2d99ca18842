// Issuers without ACME, with the real services: what they sign is read by other programs.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/certificate.h"
#include "lib/pki/run_command.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::World;
using pki::CommandResult;
using pki::RunCommand;
using pki::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

namespace v1 = issuer::v1;

constexpr absl::Duration kTimeout = absl::Seconds(60);

// One world for all: no test looks at what another made.
class PrivateIssuersTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    absl::StatusOr<std::unique_ptr<World>> world = World::Start({});
    CW_ASSERT_OK(world);
    world_ = world->release();
  }
  static void TearDownTestSuite() {
    delete world_;
    world_ = nullptr;
  }
  void SetUp() override { ASSERT_NE(world_, nullptr); }

  static void CreateIssuer(const std::string& name, const v1::IssuerSpec& spec) {
    v1::CreateIssuerRequest request;
    request.mutable_issuer()->mutable_metadata()->set_name(name);
    *request.mutable_issuer()->mutable_spec() = spec;
    v1::CreateIssuerResponse response;
    const auto context = harness::MakeContext();
    CW_ASSERT_OK(
        harness::FromGrpc(world_->issuers().CreateIssuer(context.get(), request, &response)));
  }
  static void CreateSelfSignedIssuer(const std::string& name) {
    v1::IssuerSpec spec;
    spec.mutable_self_signed();
    CreateIssuer(name, spec);
  }
  static void CreateCaIssuer(const std::string& name, const std::string& secret_name) {
    v1::IssuerSpec spec;
    spec.mutable_ca()->set_secret_name(secret_name);
    spec.mutable_ca()->add_crl_distribution_points("http://crl.example.test/ca.crl");
    spec.mutable_ca()->add_ocsp_servers("http://ocsp.example.test");
    CreateIssuer(name, spec);
  }
  static void CreatePassword(const std::string& name, const std::string& password) {
    v1::CreateSecretRequest request;
    request.mutable_secret()->mutable_metadata()->set_name(name);
    (*request.mutable_secret()->mutable_data())["password"] = password;
    v1::CreateSecretResponse response;
    const auto context = harness::MakeContext();
    CW_ASSERT_OK(
        harness::FromGrpc(world_->secrets().CreateSecret(context.get(), request, &response)));
  }
  // Of the Issuer `issuer`; its Secret is "<name>-tls".
  static v1::Certificate MakeCertificate(const std::string& name, const std::string& issuer,
                                         const std::vector<std::string>& dns_names) {
    v1::Certificate certificate = World::MakeCertificate(name, dns_names);
    certificate.mutable_spec()->mutable_issuer_ref()->set_name(issuer);
    certificate.mutable_spec()->mutable_issuer_ref()->set_kind(meta::v1::ISSUER_KIND_ISSUER);
    return certificate;
  }
  static v1::Certificate MakeCaCertificate(const std::string& name, const std::string& issuer) {
    v1::Certificate certificate = MakeCertificate(name, issuer, {});
    certificate.mutable_spec()->set_is_ca(true);
    certificate.mutable_spec()->set_literal_subject(absl::StrCat("CN=", name, ",O=Test"));
    return certificate;
  }
  // The Secret of a Certificate, once that is Ready.
  static v1::Secret Issue(const v1::Certificate& certificate) {
    const std::string& name = certificate.metadata().name();
    CW_EXPECT_OK(world_->CreateCertificate(certificate));
    CW_EXPECT_OK(world_->WaitUntilReady({name}, kTimeout));
    const auto secret = world_->GetSecret(certificate.spec().secret_name());
    EXPECT_THAT(secret, base::IsOk());
    return secret.value_or(v1::Secret());
  }
  static std::string Data(const v1::Secret& secret, const std::string& key) {
    const auto it = secret.data().find(key);
    EXPECT_TRUE(it != secret.data().end()) << key;
    return it == secret.data().end() ? "" : it->second;
  }
  // What openssl says of the Secret's chain when it trusts ca.crt alone.
  static CommandResult Verify(const v1::Secret& secret, const std::string& options = "") {
    const std::string chain = WriteTestFile("chain.pem", Data(secret, "tls.crt"));
    const std::string ca = WriteTestFile("ca.pem", Data(secret, "ca.crt"));
    return RunCommand(absl::StrCat("openssl verify -x509_strict ", options, " -CAfile ", ca,
                                   " -untrusted ", chain, " ", chain));
  }
  static std::string Text(const v1::Secret& secret) {
    const std::string chain = WriteTestFile("leaf.pem", Data(secret, "tls.crt"));
    return RunCommand(absl::StrCat("openssl x509 -noout -text -in ", chain)).output;
  }

  static inline World* world_ = nullptr;
};

TEST_F(PrivateIssuersTest, ARootOfOnesOwnSignsAnIntermediateAndThatALeaf) {
  CreateSelfSignedIssuer("chain-self");
  const v1::Secret root = Issue(MakeCaCertificate("chain-root", "chain-self"));
  EXPECT_EQ(Data(root, "tls.crt"), Data(root, "ca.crt"));
  CreateCaIssuer("chain-root", "chain-root-tls");
  Issue(MakeCaCertificate("chain-ca", "chain-root"));
  CreateCaIssuer("chain-ca", "chain-ca-tls");
  v1::Certificate leaf = MakeCertificate("chain-leaf", "chain-ca", {"leaf.example.test"});
  leaf.mutable_spec()->set_common_name("Leaf of ours");
  leaf.mutable_spec()->add_uris("spiffe://example.test/leaf");
  leaf.mutable_spec()->add_email_addresses("leaf@example.test");
  leaf.mutable_spec()->add_usages("server auth");
  leaf.mutable_spec()->mutable_duration()->set_seconds(7200);
  const v1::Secret secret = Issue(leaf);
  EXPECT_EQ(Data(secret, "ca.crt"), Data(root, "ca.crt"));
  const CommandResult verified =
      Verify(secret, "-purpose sslserver -verify_hostname leaf.example.test");
  EXPECT_EQ(verified.exit_status, 0) << verified.output;
  EXPECT_THAT(Text(secret),
              AllOf(HasSubstr("CN = Leaf of ours"), HasSubstr("spiffe://example.test/leaf"),
                    HasSubstr("email:leaf@example.test"), HasSubstr("ocsp.example.test"),
                    HasSubstr("crl.example.test"), HasSubstr("CA:FALSE")));
}

TEST_F(PrivateIssuersTest, NameConstraintsAreEnforced) {
  CreateSelfSignedIssuer("names-self");
  v1::Certificate root = MakeCaCertificate("names-root", "names-self");
  root.mutable_spec()->mutable_name_constraints()->set_critical(true);
  root.mutable_spec()->mutable_name_constraints()->mutable_permitted()->add_dns_domains(
      "good.test");
  EXPECT_THAT(Text(Issue(root)), HasSubstr("Name Constraints: critical"));
  CreateCaIssuer("names-root", "names-root-tls");
  const v1::Secret good = Issue(MakeCertificate("names-good", "names-root", {"a.good.test"}));
  EXPECT_EQ(Verify(good).exit_status, 0);

  CW_ASSERT_OK(
      world_->CreateCertificate(MakeCertificate("names-bad", "names-root", {"bad.test"})));
  std::string conditions;
  harness::WaitUntil(
      [&] {
        const auto certificate = world_->GetCertificate("names-bad");
        if (certificate.ok()) {
          conditions = harness::DescribeConditions(certificate->status().conditions());
        }
        return conditions.find("Failed") != std::string::npos;
      },
      kTimeout);
  EXPECT_THAT(conditions, AllOf(HasSubstr("Failed"), HasSubstr("permitted subtree")));
}

TEST_F(PrivateIssuersTest, ANewCaSecretMakesItsIssuerReady) {
  // First the issuer and what waits for it, then the CA.
  CreateCaIssuer("late", "late-ca-tls");
  CW_ASSERT_OK(world_->CreateCertificate(MakeCertificate("late", "late", {"late.test"})));
  CreateSelfSignedIssuer("late-self");
  Issue(MakeCaCertificate("late-ca", "late-self"));
  CW_EXPECT_OK(world_->WaitUntilReady({"late"}, kTimeout));
}

TEST_F(PrivateIssuersTest, KeystoresAreReadByOpensslAndJava) {
  CreateSelfSignedIssuer("stores-self");
  CreatePassword("stores-password", "changeit");
  v1::Certificate certificate = MakeCertificate("stores", "stores-self", {"stores.test"});
  v1::CertificateSpec& spec = *certificate.mutable_spec();
  spec.mutable_private_key()->set_algorithm(v1::PRIVATE_KEY_ALGORITHM_RSA);
  spec.add_additional_output_formats(v1::OUTPUT_FORMAT_DER);
  spec.add_additional_output_formats(v1::OUTPUT_FORMAT_COMBINED_PEM);
  (*spec.mutable_secret_template()->mutable_labels())["team"] = "stores";
  v1::Keystores& keystores = *spec.mutable_keystores();
  keystores.mutable_pkcs12()->set_create(true);
  keystores.mutable_pkcs12()->mutable_password_secret_ref()->set_name("stores-password");
  keystores.mutable_jks()->set_create(true);
  keystores.mutable_jks()->mutable_password_secret_ref()->set_name("stores-password");
  const v1::Secret secret = Issue(certificate);
  EXPECT_EQ(secret.metadata().labels().at("team"), "stores");

  const std::string p12 = WriteTestFile("keystore.p12", Data(secret, "keystore.p12"));
  const CommandResult opened = RunCommand(
      absl::StrCat("openssl pkcs12 -nodes -nocerts -in ", p12, " -passin pass:changeit"));
  EXPECT_EQ(opened.exit_status, 0) << opened.output;
  EXPECT_THAT(opened.output, HasSubstr(Data(secret, "tls.key")));
  EXPECT_NE(RunCommand(absl::StrCat("openssl pkcs12 -noout -in ", p12, " -passin pass:wrong"))
                .exit_status,
            0);
  const std::string der = WriteTestFile("key.der", Data(secret, "key.der"));
  const CommandResult key = RunCommand(absl::StrCat("openssl pkey -inform DER -in ", der));
  EXPECT_THAT(key.output, HasSubstr(Data(secret, "tls.key")));
  EXPECT_EQ(Data(secret, "tls-combined.pem"),
            absl::StrCat(Data(secret, "tls.key"), Data(secret, "tls.crt")));

  if (RunCommand("which keytool").exit_status != 0) {
    GTEST_SKIP() << "keytool is not installed: tools/packages/peers.txt names it";
  }
  for (const char* name : {"keystore.jks", "truststore.jks", "truststore.p12"}) {
    const std::string file = WriteTestFile(name, Data(secret, name));
    const CommandResult listed =
        RunCommand(absl::StrCat("LC_ALL=C keytool -list -storepass changeit -keystore ", file));
    EXPECT_EQ(listed.exit_status, 0) << listed.output;
    EXPECT_THAT(listed.output,
                HasSubstr(name == std::string("keystore.jks") ? "PrivateKeyEntry"
                                                              : "trustedCertEntry"));
  }
}

TEST_F(PrivateIssuersTest, AChangedOutputIsWrittenWithoutANewCertificate) {
  CreateSelfSignedIssuer("outputs-self");
  const v1::Secret before = Issue(MakeCertificate("outputs", "outputs-self", {"o.test"}));
  CW_ASSERT_OK_AND_ASSIGN(v1::Certificate certificate, world_->GetCertificate("outputs"));
  certificate.mutable_spec()->mutable_keystores()->mutable_pkcs12()->set_create(true);
  v1::UpdateCertificateRequest request;
  *request.mutable_certificate() = certificate;
  request.mutable_certificate()->mutable_metadata()->clear_resource_version();
  v1::UpdateCertificateResponse response;
  const auto context = harness::MakeContext();
  CW_ASSERT_OK(harness::FromGrpc(
      world_->certificates().UpdateCertificate(context.get(), request, &response)));
  v1::Secret secret;
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        secret = world_->GetSecret("outputs-tls").value_or(v1::Secret());
        return secret.data().contains("keystore.p12");
      },
      kTimeout));
  EXPECT_EQ(Data(secret, "tls.crt"), Data(before, "tls.crt"));
  // It has no password.
  const std::string p12 = WriteTestFile("open.p12", Data(secret, "keystore.p12"));
  const CommandResult opened =
      RunCommand(absl::StrCat("openssl pkcs12 -nodes -nocerts -in ", p12, " -passin pass:"));
  EXPECT_THAT(opened.output, HasSubstr(Data(secret, "tls.key")));
}

TEST_F(PrivateIssuersTest, ATemporaryCertificateIsThereWhileNobodySigns) {
  v1::Certificate certificate = MakeCertificate("temporary", "nobody", {"t.test"});
  (*certificate.mutable_metadata()
        ->mutable_annotations())["cert-manager.io/issue-temporary-certificate"] = "true";
  CW_ASSERT_OK(world_->CreateCertificate(certificate));
  v1::Secret secret;
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        secret = world_->GetSecret("temporary-tls").value_or(v1::Secret());
        return secret.data().contains("tls.crt");
      },
      kTimeout));
  EXPECT_THAT(Text(secret), HasSubstr("DNS:t.test"));
  CW_ASSERT_OK_AND_ASSIGN(const v1::Certificate waiting, world_->GetCertificate("temporary"));
  EXPECT_THAT(harness::DescribeConditions(waiting.status().conditions()),
              Not(HasSubstr("Ready=True")));
  CreateSelfSignedIssuer("nobody");
  CW_EXPECT_OK(world_->WaitUntilReady({"temporary"}, kTimeout));
  CW_ASSERT_OK_AND_ASSIGN(const v1::Secret real, world_->GetSecret("temporary-tls"));
  EXPECT_NE(Data(real, "tls.crt"), Data(secret, "tls.crt"));
  EXPECT_EQ(Data(real, "tls.key"), Data(secret, "tls.key"));
}

}  // namespace
}  // namespace certwright
