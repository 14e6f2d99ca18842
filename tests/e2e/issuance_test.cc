// Certificates from a real CA through the three real services: what shall work, and what shall
// say why it does not.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::World;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::Duration kTimeout = absl::Seconds(60);

std::unique_ptr<World> StartWorld(harness::WorldOptions options = {}) {
  absl::StatusOr<std::unique_ptr<World>> world = World::Start(std::move(options));
  EXPECT_THAT(world, base::IsOk());
  return world.ok() ? *std::move(world) : nullptr;
}

// Waits until a Certificate's conditions hold `text`; returns what they said last.
std::string WaitForText(World& world, const std::string& name, const std::string& text) {
  std::string last;
  harness::WaitUntil(
      [&] {
        const auto certificate = world.GetCertificate(name);
        if (certificate.ok()) {
          last = harness::DescribeConditions(certificate->status().conditions());
        }
        return last.find(text) != std::string::npos;
      },
      kTimeout);
  return last;
}

// Fault 46.
TEST(IssuanceTest, IssuesByHttp01AndByDns01WithApexAndWildcardTogether) {
  const auto world = StartWorld();
  ASSERT_NE(world, nullptr);
  CW_ASSERT_OK(world->CreateClusterIssuer(
      world->MakeClusterIssuer({"example.test", "*.example.test"}, {})));
  const std::vector<std::string> both = {"*.example.test", "example.test"};
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("wildcard", both)));
  CW_ASSERT_OK(world->WaitUntilReady({"www", "wildcard"}, kTimeout));

  CW_ASSERT_OK_AND_ASSIGN(const auto www, world->GetSecret("www-tls"));
  CW_EXPECT_OK(world->VerifySecret(www, {"www.example.test"}));
  CW_ASSERT_OK_AND_ASSIGN(const auto wildcard, world->GetSecret("wildcard-tls"));
  CW_EXPECT_OK(world->VerifySecret(wildcard, both));
  CW_ASSERT_OK_AND_ASSIGN(const auto certificate, world->GetCertificate("www"));
  EXPECT_EQ(certificate.status().revision(), 1);
  EXPECT_GT(certificate.status().renewal_time().seconds(), absl::ToUnixSeconds(absl::Now()));
}

// Of names that IDNA 2008 does not have, as of emoji, the CA is the judge.
TEST(IssuanceTest, IssuesForNamesThatIdna2008DoesNotHave) {
  const auto world = StartWorld();
  ASSERT_NE(world, nullptr);
  CW_ASSERT_OK(
      world->CreateClusterIssuer(world->MakeClusterIssuer({"xn--7w7c.example.test"}, {})));
  const std::vector<std::string> names = {"xn--7w7c.example.test", "xn--e28h.example.test",
                                          "xn--i-7iq.example.test"};
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("emoji", names)));
  CW_ASSERT_OK(world->WaitUntilReady({"emoji"}, kTimeout));
  CW_ASSERT_OK_AND_ASSIGN(const auto secret, world->GetSecret("emoji-tls"));
  CW_EXPECT_OK(world->VerifySecret(secret, names));
}

// Fault 80.
TEST(IssuanceTest, SaysPerChallengeWhyAnHttp01ListenerIsNotReached) {
  const auto world = StartWorld();
  ASSERT_NE(world, nullptr);
  auto issuer = world->MakeClusterIssuer({}, {"dns.example.test"});
  const int closed_port = harness::FreePort();
  issuer.mutable_spec()
      ->mutable_acme()
      ->mutable_solvers(0)
      ->mutable_http01()
      ->set_self_check_port(closed_port);
  CW_ASSERT_OK(world->CreateClusterIssuer(issuer));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  EXPECT_THAT(WaitForText(*world, "www", absl::StrCat("127.0.0.1:", closed_port)),
              AllOf(HasSubstr("Ready=False"), HasSubstr("www.example.test")));
  const auto challenges = world->ListChallenges();
  ASSERT_EQ(challenges.size(), 1u);
  EXPECT_THAT(challenges[0].status().reason(), HasSubstr(absl::StrCat(closed_port)));
  EXPECT_NE(challenges[0].status().state(), solver::v1::CHALLENGE_STATE_ACCEPTED);
}

TEST(IssuanceTest, SaysPerNameserverWhichOneLacksTheRecord) {
  // The second nameserver is never told of the updates.
  harness::WorldOptions options;
  options.zones = {{"example.test",
                    "$ORIGIN example.test.\n$TTL 1\n@ SOA ns1 hostmaster 1 3600 600 86400 1\n"
                    "@ NS ns1\n@ NS ns2\nns1 A 127.0.0.1\nns2 A 127.0.0.2\n@ A 127.0.0.1\n"}};
  const auto world = StartWorld(options);
  ASSERT_NE(world, nullptr);
  harness::KnotOptions second;
  second.folder = harness::MakeFolder("knot2");
  second.zones = options.zones;
  second.address = "127.0.0.2";
  second.port = world->knot().port();
  CW_ASSERT_OK_AND_ASSIGN(const auto second_knot, harness::Knot::Start(second));
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({}, {"example.test"})));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("apex", {"example.test"})));

  EXPECT_THAT(WaitForText(*world, "apex", "ns2.example.test"), HasSubstr("Ready=False"));
  const auto challenges = world->ListChallenges();
  ASSERT_EQ(challenges.size(), 1u);
  const auto& findings = challenges[0].status().propagation();
  ASSERT_EQ(findings.size(), 2);
  for (const auto& finding : findings) {
    EXPECT_EQ(finding.outcome(), finding.nameserver() == "ns1.example.test"
                                     ? solver::v1::PROPAGATION_OUTCOME_PRESENT
                                     : solver::v1::PROPAGATION_OUTCOME_ABSENT)
        << finding.DebugString();
  }
}

TEST(IssuanceTest, WildcardWithOnlyAnHttp01SolverIsAConditionNotASilentHang) {
  const auto world = StartWorld();
  ASSERT_NE(world, nullptr);
  auto issuer = world->MakeClusterIssuer({}, {"dns.example.test"});
  CW_ASSERT_OK(world->CreateClusterIssuer(issuer));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("wild", {"*.example.test"})));
  EXPECT_THAT(WaitForText(*world, "wild", "NoSolver"), HasSubstr("example.test"));
}

TEST(IssuanceTest, AnIssuerThatComesLaterIsWaitedFor) {
  const auto world = StartWorld();
  ASSERT_NE(world, nullptr);
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  EXPECT_THAT(WaitForText(*world, "www", "IssuerNotFound"), HasSubstr("pebble"));
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({}, {"dns.example.test"})));
  CW_EXPECT_OK(world->WaitUntilReady({"www"}, kTimeout));
}

TEST(IssuanceTest, RenewalMakesANewKeyAndTheNextRevision) {
  const auto world = StartWorld();
  ASSERT_NE(world, nullptr);
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({}, {"dns.example.test"})));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"www"}, kTimeout));
  CW_ASSERT_OK_AND_ASSIGN(const auto first, world->GetSecret("www-tls"));

  issuer::v1::RenewCertificateRequest request;
  request.set_name("www");
  issuer::v1::RenewCertificateResponse response;
  CW_ASSERT_OK(harness::FromGrpc(world->certificates().RenewCertificate(
      harness::MakeContext().get(), request, &response)));
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        const auto certificate = world->GetCertificate("www");
        return certificate.ok() && certificate->status().revision() == 2;
      },
      kTimeout));
  CW_ASSERT_OK_AND_ASSIGN(const auto second, world->GetSecret("www-tls"));
  EXPECT_NE(first.data().at("tls.key"), second.data().at("tls.key"));
  CW_EXPECT_OK(world->VerifySecret(second, {"www.example.test"}));
}

TEST(IssuanceTest, ADeletedSecretIsMadeAnew) {
  const auto world = StartWorld();
  ASSERT_NE(world, nullptr);
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({}, {"dns.example.test"})));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"www"}, kTimeout));
  issuer::v1::DeleteSecretRequest request;
  request.set_name("www-tls");
  issuer::v1::DeleteSecretResponse response;
  CW_ASSERT_OK(harness::FromGrpc(
      world->secrets().DeleteSecret(harness::MakeContext().get(), request, &response)));
  EXPECT_TRUE(harness::WaitUntil([&] { return world->GetSecret("www-tls").ok(); }, kTimeout));
}

}  // namespace
}  // namespace certwright
