// The three services with our own CA and nameserver: they get on as with real ones, and over
// what those do on bad days.
#include "tests/fakes/fake_world.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::fakes {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(60);

TEST(FakeWorldTest, IssuesByHttp01AndByDns01WithApexAndWildcardTogether) {
  CW_ASSERT_OK_AND_ASSIGN(const auto world, FakeWorld::Start({}));
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({"dns.example.test"})));
  const std::vector<std::string> both = {"*.dns.example.test", "dns.example.test"};
  CW_ASSERT_OK(world->CreateCertificate(world->MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->CreateCertificate(world->MakeCertificate("wildcard", both)));
  CW_ASSERT_OK(world->WaitUntilReady({"www", "wildcard"}, kTimeout));

  CW_EXPECT_OK(world->VerifySecret("www-tls", {"www.example.test"}));
  CW_EXPECT_OK(world->VerifySecret("wildcard-tls", both));
  EXPECT_EQ(world->ca().orders_for({"www.example.test"}), 1);
  EXPECT_EQ(world->ca().finalized(), 2);
  EXPECT_EQ(world->ca().reused_nonces(), 0);
  EXPECT_GE(world->dns().updates(), 1);
  EXPECT_TRUE(harness::WaitUntil(
      [&] { return world->dns().TxtValues("_acme-challenge.dns.example.test").empty(); },
      kTimeout));
}

TEST(FakeWorldTest, IssuesThroughProxiesThatBreakConnections) {
  FakeWorldOptions options;
  options.proxies = true;
  options.ca.validation.assume_valid = true;
  CW_ASSERT_OK_AND_ASSIGN(const auto world, FakeWorld::Start(std::move(options)));
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer()));
  world->ca().Inject(Endpoint::kFinalize, ResetAfter());
  world->ca_proxy().BreakAll();
  world->proxy(harness::Service::kIssuer, harness::Service::kOrder).BreakAll();
  CW_ASSERT_OK(world->CreateCertificate(world->MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"www"}, kTimeout));
  CW_EXPECT_OK(world->VerifySecret("www-tls", {"www.example.test"}));
  EXPECT_GE(world->ca_proxy().connections(), 2);
  EXPECT_EQ(world->ca().finalized(), 1);
}

}  // namespace
}  // namespace certwright::fakes
