// The limits of a CA that are kept on our side, with the real services and a real CA.
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/service/conditions.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::World;
using issuer::v1::Certificate;
using testing::HasSubstr;
using testing::SizeIs;

constexpr absl::Duration kTimeout = absl::Seconds(90);

void Update(World& world, const issuer::v1::ClusterIssuer& issuer) {
  issuer::v1::UpdateClusterIssuerRequest request;
  *request.mutable_cluster_issuer() = issuer;
  issuer::v1::UpdateClusterIssuerResponse response;
  CW_EXPECT_OK(harness::FromGrpc(
      world.issuers().UpdateClusterIssuer(harness::MakeContext().get(), request, &response)));
}

// The Certificate once it waits for a limit.
Certificate WaitUntilLimited(World& world, const std::string& name) {
  Certificate last;
  const bool in_time = harness::WaitUntil(
      [&] {
        const auto certificate = world.GetCertificate(name);
        if (certificate.ok()) last = *certificate;
        return service::IsTrue(last.status().conditions(), "RateLimited");
      },
      kTimeout);
  EXPECT_TRUE(in_time) << last.DebugString();
  return last;
}

TEST(LimitsTest, ADomainWithoutRoomWaitsThroughARestartUntilItsLimitIsRaised) {
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start({}));
  auto issuer = world->MakeClusterIssuer({}, {});
  issuer::v1::RateLimits& limits =
      *issuer.mutable_spec()->mutable_acme()->mutable_rate_limits();
  limits.set_certificates_per_domain(1);
  limits.mutable_certificates_per_domain_window()->set_seconds(3600);
  CW_ASSERT_OK(world->CreateClusterIssuer(issuer));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("one", {"a.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"one"}, kTimeout));

  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("two", {"b.example.test"})));
  const Certificate two = WaitUntilLimited(*world, "two");
  const auto* limited = service::FindCondition(two.status().conditions(), "RateLimited");
  ASSERT_NE(limited, nullptr);
  EXPECT_EQ(limited->reason(), "CertificatesPerDomain");
  EXPECT_THAT(limited->message(), HasSubstr("certificates for example.test: 1 in 1h"));
  const absl::Time next = service::FromProto(two.status().next_attempt_time());
  EXPECT_GT(next, absl::Now() + absl::Minutes(50));
  EXPECT_LE(next, absl::Now() + absl::Minutes(60));
  EXPECT_THAT(world->ListOrders(), SizeIs(1));

  world->suite().Kill(harness::Service::kIssuer);
  CW_ASSERT_OK(world->suite().Restart(harness::Service::kIssuer));
  CW_ASSERT_OK(world->WaitForClusterIssuer("pebble", kTimeout));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("three", {"c.example.test"})));
  WaitUntilLimited(*world, "three");
  EXPECT_THAT(world->ListOrders(), SizeIs(1));

  limits.set_certificates_per_domain(10);
  Update(*world, issuer);
  CW_ASSERT_OK(world->WaitUntilReady({"two", "three"}, kTimeout));
  const auto after = world->GetCertificate("two");
  CW_ASSERT_OK(after);
  EXPECT_EQ(service::FindCondition(after->status().conditions(), "RateLimited"), nullptr);
  EXPECT_FALSE(after->status().has_next_attempt_time());
}

}  // namespace
}  // namespace certwright
