#include "services/order/order_adoption.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::order {
namespace {

using base::StatusIs;

const absl::Time kNow = absl::FromUnixSeconds(1767323045);

TEST(MakeRequestTest, AsksForADurationOnlyWhereTheIssuerAllowsIt) {
  v1::OrderSpec spec;
  spec.add_dns_names("a.test");
  spec.mutable_duration()->set_seconds(60);
  issuer::v1::AcmeIssuer issuer;
  EXPECT_FALSE(MakeRequest(spec, issuer, kNow)->not_after.has_value());
  issuer.set_enable_duration_feature(true);
  EXPECT_EQ(MakeRequest(spec, issuer, kNow)->not_after, kNow + absl::Minutes(1));
}

TEST(MakeRequestTest, TheOrdersProfileGoesBeforeTheIssuers) {
  v1::OrderSpec spec;
  spec.add_dns_names("a.test");
  issuer::v1::AcmeIssuer issuer;
  issuer.set_profile("issuers");
  EXPECT_EQ(MakeRequest(spec, issuer, kNow)->profile, "issuers");
  spec.set_profile("orders");
  EXPECT_EQ(MakeRequest(spec, issuer, kNow)->profile, "orders");
}

TEST(AdoptOrderTest, KeepsTheFinalizeUrlOfAnAnswerThatLacksOne) {
  v1::OrderStatus status;
  acme::Order order;
  order.finalize = "https://ca.test/finalize";
  AdoptOrder(order, status);
  EXPECT_EQ(status.state(), v1::ORDER_STATE_PENDING);
  order.finalize.clear();
  order.status = acme::OrderStatus::kValid;
  order.certificate = "https://ca.test/cert";
  AdoptOrder(order, status);
  EXPECT_EQ(status.finalize_url(), "https://ca.test/finalize");
  EXPECT_EQ(status.certificate_url(), "https://ca.test/cert");
  EXPECT_EQ(status.state(), v1::ORDER_STATE_PROCESSING) << "the certificate is not here yet";
}

// Fault 41.
TEST(AdoptAuthorizationTest, KnowsANameInAnotherSpelling) {
  pki::SubjectAltNames ordered;
  ordered.dns_names = {"a.test", "*.b.test"};
  ordered.ip_addresses = {"2001:db8::1"};
  struct Case {
    acme::Identifier identifier;
    bool wildcard;
    const char* adopted;
  };
  for (const Case& c : {Case{acme::DnsIdentifier("A.Test"), false, "a.test"},
                        Case{acme::DnsIdentifier("B.TEST."), true, "b.test"},
                        Case{acme::IpIdentifier("2001:DB8:0::1"), false, "2001:db8::1"}}) {
    acme::Authorization read;
    read.identifier = c.identifier;
    read.wildcard = c.wildcard;
    v1::Authorization authorization;
    CW_EXPECT_OK(AdoptAuthorization(read, ordered, authorization)) << c.identifier.value;
    EXPECT_EQ(authorization.identifier(), c.adopted);
  }
}

TEST(AdoptAuthorizationTest, TakesOnlyNamesThatWereOrdered) {
  pki::SubjectAltNames ordered;
  ordered.dns_names = {"*.a.test", "b.test"};
  ordered.ip_addresses = {"192.0.2.1"};
  struct Case {
    acme::Identifier identifier;
    bool wildcard;
    bool taken;
  };
  for (const Case& c : {Case{acme::DnsIdentifier("a.test"), true, true},
                        Case{acme::DnsIdentifier("a.test"), false, false},
                        Case{acme::DnsIdentifier("b.test"), false, true},
                        Case{acme::DnsIdentifier("b.test"), true, false},
                        Case{acme::IpIdentifier("192.0.2.1"), false, true},
                        Case{acme::DnsIdentifier("192.0.2.1"), false, false}}) {
    SCOPED_TRACE(c.identifier.value);
    acme::Authorization read;
    read.identifier = c.identifier;
    read.wildcard = c.wildcard;
    v1::Authorization authorization;
    authorization.set_url("u");
    const absl::Status adopted = AdoptAuthorization(read, ordered, authorization);
    EXPECT_EQ(adopted.ok(), c.taken) << adopted;
    EXPECT_EQ(authorization.initial_state(), c.taken ? "pending" : "");
    EXPECT_EQ(authorization.url(), "u");
  }
}

}  // namespace
}  // namespace certwright::order
