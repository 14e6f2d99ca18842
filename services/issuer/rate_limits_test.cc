#include "services/issuer/rate_limits.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr char kServer[] = "https://ca.test/directory";
constexpr char kAccount[] = "https://ca.test/account/1";

const RateLimits kLetsEncrypt{
    {300, absl::Hours(3)}, {50, absl::Hours(168)}, {5, absl::Hours(168)}, {4, absl::Hours(1)}};

TEST(RateLimitsOfTest, AreTheIssuersOrThoseOfLetsEncrypt) {
  issuer::v1::AcmeIssuer issuer;
  issuer.set_server(kServer);
  EXPECT_TRUE(RateLimitsOf(issuer).none());
  issuer.set_server("https://acme-staging-v02.api.letsencrypt.org/directory");
  EXPECT_TRUE(RateLimitsOf(issuer).none());
  issuer.set_server("https://acme-v02.api.letsencrypt.org/directory");
  EXPECT_EQ(RateLimitsOf(issuer), kLetsEncrypt);
  issuer.set_server(kServer);
  issuer::v1::RateLimits& given = *issuer.mutable_rate_limits();
  EXPECT_EQ(RateLimitsOf(issuer), kLetsEncrypt);
  given.set_orders(20);
  given.mutable_orders_window()->set_seconds(60);
  given.set_certificates_per_domain(7);
  given.mutable_certificates_per_name_set_window()->set_seconds(3600);
  given.set_failed_validations(1);
  given.mutable_failed_validations_window()->set_seconds(10);
  const RateLimits own{{20, absl::Minutes(1)},
                       {7, absl::Hours(168)},
                       {5, absl::Hours(1)},
                       {1, absl::Seconds(10)}};
  EXPECT_EQ(RateLimitsOf(issuer), own);
}

LimitedOrder Order(Exemption exemption) {
  LimitedOrder order;
  order.server = kServer;
  order.account = kAccount;
  order.names.dns_names = {"*.example.com", "a.example.co.uk", "example.com",
                           "www.example.com"};
  order.names.ip_addresses = {"192.0.2.1", "2001:db8::1", "2001:db8::2"};
  order.exemption = exemption;
  return order;
}

std::vector<std::string> Described(Exemption exemption) {
  std::vector<std::string> described;
  for (const Draw& draw : DrawsOf(kLetsEncrypt, Order(exemption))) {
    EXPECT_GT(draw.limit.count, 0);
    described.push_back(DescribeBucket(draw.bucket));
  }
  return described;
}

TEST(DrawsOfTest, AreOneBucketForEachThingThatCounts) {
  EXPECT_THAT(Described(Exemption::kNone),
              UnorderedElementsAre(
                  "new orders of the account", "certificates for exactly these names",
                  "certificates for example.com", "certificates for example.co.uk",
                  "certificates for 192.0.2.1", "certificates for 2001:db8::/64",
                  "failed validations of example.com", "failed validations of www.example.com",
                  "failed validations of a.example.co.uk", "failed validations of 192.0.2.1",
                  "failed validations of 2001:db8::1", "failed validations of 2001:db8::2"));
}

TEST(DrawsOfTest, ARenewalCountsForNoDomainAndAnAdvisedOneOnlyItsFailures) {
  EXPECT_THAT(Described(Exemption::kRenewal),
              testing::AllOf(testing::Contains("new orders of the account"),
                             testing::Contains("certificates for exactly these names"),
                             testing::Not(testing::Contains("certificates for example.com"))));
  EXPECT_THAT(Described(Exemption::kAdvised),
              testing::Each(testing::StartsWith("failed validations of ")));
}

TEST(DrawsOfTest, DomainsAndSetsCountForAllAccountsOfACaTheRestForOne) {
  LimitedOrder order = Order(Exemption::kNone);
  const std::vector<Draw> draws = DrawsOf(kLetsEncrypt, order);
  order.account = "https://ca.test/account/2";
  const std::vector<Draw> others = DrawsOf(kLetsEncrypt, order);
  ASSERT_EQ(draws.size(), others.size());
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const LimitKind kind = KindOf(draws[i].bucket);
    const bool shared = kind == LimitKind::kDomain || kind == LimitKind::kNameSet;
    EXPECT_EQ(draws[i].bucket == others[i].bucket, shared) << draws[i].bucket;
  }
}

TEST(ReachedBucketTest, IsTheOneThatTheCaNamesIfTheOrderDrawsOnIt) {
  const LimitedOrder order = Order(Exemption::kNone);
  const struct {
    acme::RateLimitDetail detail;
    bool placing;
    const char* described;
  } cases[] = {
      {{acme::ReachedLimit::kOrdersPerAccount, ""}, true, "new orders of the account"},
      {{acme::ReachedLimit::kCertificatesPerDomain, "example.com"},
       true,
       "certificates for example.com"},
      {{acme::ReachedLimit::kCertificatesPerDomain, "2001:db8::/64"},
       true,
       "certificates for 2001:db8::/64"},
      {{acme::ReachedLimit::kCertificatesPerNameSet, ""},
       false,
       "certificates for exactly these names"},
      {{acme::ReachedLimit::kFailedValidations, "www.example.com"},
       true,
       "failed validations of www.example.com"},
      {{acme::ReachedLimit::kUnknown, ""}, true, "new orders of the account"},
  };
  for (const auto& one : cases) {
    const std::string bucket = ReachedBucket(one.detail, order, one.placing);
    EXPECT_EQ(DescribeBucket(bucket), one.described);
    const std::vector<Draw> draws = DrawsOf(kLetsEncrypt, order);
    EXPECT_TRUE(std::any_of(draws.begin(), draws.end(),
                            [&](const Draw& draw) { return draw.bucket == bucket; }));
  }
  EXPECT_EQ(ReachedBucket({acme::ReachedLimit::kUnknown, ""}, order, false), "");
  EXPECT_EQ(ReachedBucket({acme::ReachedLimit::kOther, ""}, order, true), "");
  // The CA names what is not ours.
  EXPECT_EQ(
      ReachedBucket({acme::ReachedLimit::kCertificatesPerDomain, "evil.test"}, order, true),
      "");
  EXPECT_EQ(ReachedBucket({acme::ReachedLimit::kFailedValidations, "evil.test"}, order, true),
            "");
}

TEST(LimitTextTest, NamesReasonAndField) {
  const std::string failures = FailuresBucket(kAccount, "*.example.com");
  EXPECT_EQ(DescribeBucket(failures), "failed validations of example.com");
  EXPECT_EQ(LimitReason(failures), "FailedValidations");
  EXPECT_EQ(LimitField(failures), "spec.acme.rateLimits.failedValidations");
}

}  // namespace
}  // namespace certwright::issuer_service
