// The life of an ACME account at a real CA, through the real services: bound to one that the CA
// knows, given new keys, and ended; and certificates that are revoked.
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/certificate.h"
#include "tests/harness/account_client.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::Service;
using harness::World;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::Duration kTimeout = absl::Seconds(60);
constexpr char kClusterNamespace[] = "certwright";
constexpr char kMacKey[] = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

// Against Debian's Pebble and the newest one.
class AccountTest : public testing::TestWithParam<const char*> {
 protected:
  void StartWorld(const std::map<std::string, std::string>& external_accounts = {}) {
    harness::WorldOptions options;
    options.external_accounts = external_accounts;
    options.pebble_program = GetParam();
    CW_ASSERT_OK_AND_ASSIGN(world_, World::Start(std::move(options)));
    account_.emplace(world_->suite(), *world_, "pebble");
  }
  void CreateSecret(const std::string& name, const std::string& key, const std::string& value) {
    issuer::v1::CreateSecretRequest request;
    request.mutable_secret()->mutable_metadata()->set_namespace_(kClusterNamespace);
    request.mutable_secret()->mutable_metadata()->set_name(name);
    (*request.mutable_secret()->mutable_data())[key] = value;
    issuer::v1::CreateSecretResponse response;
    CW_ASSERT_OK(harness::FromGrpc(
        world_->secrets().CreateSecret(harness::MakeContext().get(), request, &response)));
  }
  void Issue(const std::string& name, absl::Duration timeout = kTimeout) {
    CW_ASSERT_OK(world_->CreateCertificate(
        World::MakeCertificate(name, {absl::StrCat(name, ".example.test")})));
    CW_ASSERT_OK(world_->WaitUntilReady({name}, timeout));
  }

  absl::Status Revoke(const std::string& name, issuer::v1::RevocationReason reason) {
    issuer::v1::RevokeCertificateRequest request;
    request.set_name(name);
    request.set_reason(reason);
    issuer::v1::RevokeCertificateResponse response;
    return harness::FromGrpc(world_->certificates().RevokeCertificate(
        harness::MakeContext().get(), request, &response));
  }
  static std::string SerialOf(const issuer::v1::Secret& secret) {
    return pki::ParseChainPem(secret.data().at("tls.crt"))->front().serial_hex;
  }
  std::string CertificateConditions(const std::string& name) {
    const auto certificate = world_->GetCertificate(name);
    return certificate.ok() ? harness::DescribeConditions(certificate->status().conditions())
                            : std::string(certificate.status().message());
  }

  std::unique_ptr<World> world_;
  std::optional<harness::AccountClient> account_;
};

TEST_P(AccountTest, LivesFromItsBindingToItsEnd) {
  ASSERT_NO_FATAL_FAILURE(StartWorld({{"customer-1", kMacKey}}));
  ASSERT_NO_FATAL_FAILURE(CreateSecret("eab", "mac", kMacKey));
  auto issuer = world_->MakeClusterIssuer({}, {"dns.example.test"});
  auto& binding = *issuer.mutable_spec()->mutable_acme()->mutable_external_account_binding();
  binding.set_key_id("customer-1");
  binding.mutable_key_secret_ref()->set_name("eab");
  binding.mutable_key_secret_ref()->set_key("mac");
  CW_ASSERT_OK(world_->CreateClusterIssuer(issuer));
  ASSERT_NO_FATAL_FAILURE(Issue("before"));
  CW_ASSERT_OK_AND_ASSIGN(const issuer::v1::Account first, account_->Get());
  const auto first_keys = account_->Keys().value();

  CW_ASSERT_OK_AND_ASSIGN(const issuer::v1::Account second, account_->RollOver());
  EXPECT_EQ(second.uri(), first.uri());
  EXPECT_NE(second.key_thumbprint(), first.key_thumbprint());
  EXPECT_EQ(account_->Get()->key_thumbprint(), second.key_thumbprint());
  EXPECT_EQ(account_->Keys()->size(), 1u);
  EXPECT_NE(account_->Keys().value(), first_keys);
  ASSERT_NO_FATAL_FAILURE(Issue("after"));

  CW_ASSERT_OK(account_->Deactivate());
  CW_EXPECT_OK(account_->Deactivate());
  EXPECT_THAT(account_->IssuerConditions(), HasSubstr("Ready=False AccountDeactivated"));
  CW_ASSERT_OK(
      world_->CreateCertificate(World::MakeCertificate("late", {"late.example.test"})));
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        return CertificateConditions("late").find("was deactivated") != std::string::npos;
      },
      kTimeout))
      << CertificateConditions("late");
  EXPECT_FALSE(account_->RollOver().ok());
  // What was issued can still be revoked, by its own key.
  CW_ASSERT_OK_AND_ASSIGN(const auto secret, world_->GetSecret("after-tls"));
  CW_ASSERT_OK(Revoke("after", issuer::v1::REVOCATION_REASON_CESSATION_OF_OPERATION));
  EXPECT_THAT(world_->pebble().FetchCertificateStatus(SerialOf(secret)),
              base::IsOkAndHolds("Revoked"));
}

// Fault 32.
TEST_P(AccountTest, WithoutTheBindingThatTheCaWantsItSaysSo) {
  ASSERT_NO_FATAL_FAILURE(StartWorld({{"customer-1", kMacKey}}));
  issuer::v1::CreateClusterIssuerRequest request;
  *request.mutable_cluster_issuer() = world_->MakeClusterIssuer({}, {"dns.example.test"});
  issuer::v1::CreateClusterIssuerResponse response;
  CW_ASSERT_OK(harness::FromGrpc(
      world_->issuers().CreateClusterIssuer(harness::MakeContext().get(), request, &response)));
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        return account_->IssuerConditions().find("externalAccountRequired") !=
               std::string::npos;
      },
      kTimeout))
      << account_->IssuerConditions();
}

TEST_P(AccountTest, RevokedCertificatesAreReplaced) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  CW_ASSERT_OK(
      world_->CreateClusterIssuer(world_->MakeClusterIssuer({}, {"dns.example.test"})));
  for (const auto& [name, reason] : std::map<std::string, issuer::v1::RevocationReason>{
           {"superseded", issuer::v1::REVOCATION_REASON_SUPERSEDED},
           {"compromised", issuer::v1::REVOCATION_REASON_KEY_COMPROMISE}}) {
    SCOPED_TRACE(name);
    ASSERT_NO_FATAL_FAILURE(Issue(name));
    CW_ASSERT_OK_AND_ASSIGN(const auto first, world_->GetSecret(name + "-tls"));
    EXPECT_THAT(world_->pebble().FetchCertificateStatus(SerialOf(first)),
                base::IsOkAndHolds("Valid"));
    CW_ASSERT_OK(Revoke(name, reason));
    EXPECT_THAT(world_->pebble().FetchCertificateStatus(SerialOf(first)),
                base::IsOkAndHolds("Revoked"));
    ASSERT_TRUE(harness::WaitUntil(
        [&] {
          const auto certificate = world_->GetCertificate(name);
          return certificate.ok() && certificate->status().revision() == 2;
        },
        kTimeout))
        << CertificateConditions(name);
    CW_ASSERT_OK_AND_ASSIGN(const auto second, world_->GetSecret(name + "-tls"));
    EXPECT_NE(second.data().at("tls.key"), first.data().at("tls.key"));
    EXPECT_THAT(world_->pebble().FetchCertificateStatus(SerialOf(second)),
                base::IsOkAndHolds("Valid"));
  }
}

// Fault 34.
TEST_P(AccountTest, AKillInTheMiddleOfARolloverLosesNeitherKeyNorAccount) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  CW_ASSERT_OK(
      world_->CreateClusterIssuer(world_->MakeClusterIssuer({}, {"dns.example.test"})));
  CW_ASSERT_OK_AND_ASSIGN(const issuer::v1::Account first, account_->Get());
  // The CA is asked, and does not get to answer.
  world_->pebble().process().Signal(SIGSTOP);
  EXPECT_FALSE(account_->RollOver(absl::Seconds(1)).ok());
  EXPECT_EQ(account_->Keys()->size(), 2u);
  world_->suite().Kill(Service::kIssuer);
  world_->pebble().process().Signal(SIGCONT);
  CW_ASSERT_OK(world_->suite().Restart(Service::kIssuer));

  ASSERT_TRUE(harness::WaitUntil([&] { return account_->Get().ok(); }, kTimeout))
      << account_->IssuerConditions();
  CW_ASSERT_OK_AND_ASSIGN(const issuer::v1::Account second, account_->Get());
  EXPECT_EQ(second.uri(), first.uri());
  EXPECT_NE(second.key_thumbprint(), first.key_thumbprint());
  EXPECT_EQ(account_->Keys()->size(), 1u);
  // An order that is placed before the order service is connected again proves with the key
  // that it knew last; after a minute the next one is placed.
  ASSERT_NO_FATAL_FAILURE(Issue("www", absl::Minutes(3)));
}

// Fault 29.
TEST_P(AccountTest, AnAccountThatTheCaForgotIsRegisteredAgain) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  auto issuer = world_->MakeClusterIssuer({}, {"dns.example.test"});
  // Each start of this CA makes another certificate for its TLS.
  issuer.mutable_spec()->mutable_acme()->set_skip_tls_verify(true);
  CW_ASSERT_OK(world_->CreateClusterIssuer(issuer));
  ASSERT_NO_FATAL_FAILURE(Issue("before"));
  // All that it knows is in its memory.
  world_->pebble().process().Kill();
  harness::PebbleOptions options;
  options.folder = harness::MakeFolder("pebble2");
  options.program = GetParam();
  options.port = world_->pebble().port();
  options.http_port = world_->suite().http01_port();
  options.dns_server = world_->knot().address();
  CW_ASSERT_OK_AND_ASSIGN(const auto pebble, harness::Pebble::Start(options));
  CW_ASSERT_OK(
      world_->CreateCertificate(World::MakeCertificate("after", {"after.example.test"})));
  CW_ASSERT_OK(world_->WaitUntilReady({"after"}, absl::Minutes(3)));
}

INSTANTIATE_TEST_SUITE_P(Cas, AccountTest, testing::Values("pebble", harness::kNewestPebble),
                         [](const auto& info) {
                           return info.param == std::string(harness::kNewestPebble) ? "Newest"
                                                                                    : "Debians";
                         });

}  // namespace
}  // namespace certwright
