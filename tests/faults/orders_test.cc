// Orders that the CA refuses, puts off or loses, and certificates that are not what was
// ordered, met by the real services.
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/faults/fault_test_world.h"

namespace certwright::fakes {
namespace {

using harness::Service;
using issuer::v1::Certificate;
using testing::HasSubstr;
using testing::Not;

bool HasFailedOnce(const Certificate& certificate) {
  return certificate.status().failed_issuance_attempts() == 1 &&
         certificate.status().has_next_attempt_time();
}

void ExpectAttemptIn(const Certificate& certificate, absl::Duration wait) {
  const absl::Duration left =
      service::FromProto(certificate.status().next_attempt_time()) - absl::Now();
  EXPECT_LE(left, wait * 1.25) << certificate.ShortDebugString();
  EXPECT_GT(left, wait / 2) << certificate.ShortDebugString();
}

// Faults 48 and 54.
TEST(OrderFaultsTest, ARefusedNameAmongSeveralIsNamedAndTheNextOrderComesLater) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  Behaviour behaviour;
  behaviour.refused_names["bad.example.test"] = {.detail = "the CA does not like this name"};
  world->ca().SetBehaviour(behaviour);
  CW_ASSERT_OK(world->CreateCertificate(FakeWorld::MakeCertificate(
      "three", {"www.example.test", "bad.example.test", "api.example.test"})));
  const Certificate certificate = WaitFor(*world, "three", HasFailedOnce);
  ExpectAttemptIn(certificate, absl::Hours(1));
  EXPECT_THAT(harness::DescribeConditions(certificate.status().conditions()),
              HasSubstr("bad.example.test"));
  const auto orders = world->ListOrders();
  ASSERT_EQ(orders.size(), 1u);
  ASSERT_EQ(orders[0].status().failures_size(), 1) << orders[0].ShortDebugString();
  EXPECT_EQ(orders[0].status().failures(0).identifier(), "bad.example.test");
  EXPECT_THAT(orders[0].status().failures(0).detail(), HasSubstr("does not like"));
  world->ca().SetBehaviour({});
  Renew(*world, "three");
  CW_EXPECT_OK(world->WaitUntilReady({"three"}, kTimeout));
}

// Faults 48 and 86.
TEST(OrderFaultsTest, AFailureOfASecondValidationIsShownAndAnotherOrderComesAfterAMinute) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  Behaviour behaviour;
  behaviour.failed_names["bad.example.test"] = {
      .status = 403,
      .type = "unauthorized",
      .detail = "During secondary validation: 192.0.2.7: Timeout"};
  world->ca().SetBehaviour(behaviour);
  CW_ASSERT_OK(world->CreateCertificate(
      FakeWorld::MakeCertificate("two", {"www.example.test", "bad.example.test"})));
  const Certificate certificate = WaitFor(*world, "two", HasFailedOnce);
  ExpectAttemptIn(certificate, absl::Minutes(1));
  const auto orders = world->ListOrders();
  ASSERT_EQ(orders.size(), 1u);
  ASSERT_EQ(orders[0].status().failures_size(), 1) << orders[0].ShortDebugString();
  EXPECT_EQ(orders[0].status().failures(0).identifier(), "bad.example.test");
  EXPECT_THAT(orders[0].status().failures(0).detail(), HasSubstr("secondary validation"));
  world->ca().SetBehaviour({});
  CW_EXPECT_OK(world->WaitUntilReady({"two"}, absl::Minutes(2)));
  EXPECT_EQ(world->ca().orders_for({"bad.example.test", "www.example.test"}), 2);
}

// Fault 50.
TEST(OrderFaultsTest, LongProcessingIsResumedByUrlAfterAKillAndFinalizedOnce) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  Behaviour behaviour;
  behaviour.processing = absl::Seconds(8);
  world->ca().SetBehaviour(behaviour);
  Create(*world, "www");
  const order::v1::Order order = WaitForOrder(*world, "www", [](const order::v1::Order& slow) {
    return slow.status().state() == order::v1::ORDER_STATE_PROCESSING;
  });
  world->suite().Kill(Service::kOrder);
  CW_ASSERT_OK(world->suite().Restart(Service::kOrder));
  ExpectIssued(*world, {"www"});
  const auto orders = world->ListOrders();
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].status().url(), order.status().url());
  EXPECT_EQ(world->ca().requests(Endpoint::kFinalize), 1);
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 1);
}

// Fault 51.
TEST(OrderFaultsTest, OrderNotReadyIsFollowedByOneCertificate) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  world->ca().Inject(Endpoint::kFinalize, RefuseWith(403, "orderNotReady").Times(2));
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
  EXPECT_EQ(world->ca().finalized(), 1);
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 1);
}

// Faults 23, 24 and 56.
TEST(OrderFaultsTest, ARateLimitOfOneNameParksThatOneOnlyAlsoAcrossKills) {
  constexpr absl::Duration kWait = absl::Seconds(25);
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  Behaviour behaviour;
  behaviour.refused_names[DnsName("limited")] = {
      .status = 429,
      .type = "rateLimited",
      .detail = "too many certificates (5) already issued for this exact set of identifiers",
      .retry_after = kWait};
  world->ca().SetBehaviour(behaviour);
  Create(*world, "limited");
  const order::v1::Order parked = WaitForOrder(
      *world, "limited",
      [](const order::v1::Order& order) { return ReadyReason(order) == "RateLimited"; });
  const absl::Time retry = service::FromProto(parked.status().retry_time());
  EXPECT_GT(retry, absl::Now() + kWait / 2);
  world->ca().SetBehaviour({});
  const int asked = world->ca().requests(Endpoint::kNewOrder);
  for (const Service service : {Service::kOrder, Service::kIssuer}) {
    world->suite().Kill(service);
    CW_ASSERT_OK(world->suite().Restart(service));
  }
  for (const char* name : {"a", "b", "c"}) Create(*world, name);
  ExpectIssued(*world, {"a", "b", "c"});
  ASSERT_LT(absl::Now(), retry) << "this machine is too slow for the test";
  EXPECT_EQ(world->ca().requests(Endpoint::kNewOrder), asked + 3);
  EXPECT_EQ(world->ca().orders_for({DnsName("limited")}), 0);
  ExpectIssued(*world, {"limited"});
  EXPECT_GE(absl::Now(), retry);
  EXPECT_EQ(world->ca().orders_for({DnsName("limited")}), 1);
}

// Faults 59, 60 and 61.
TEST(OrderFaultsTest, NothingOfABadChainReachesTheSecret) {
  FakeWorldOptions options = BelievingCa();
  // One Certificate is issued ten times.
  options.extra_config[static_cast<std::size_t>(harness::Service::kIssuer)] =
      "issuancePace: {issuances: 10}\n";
  const auto world = StartWorld(std::move(options));
  ASSERT_NE(world, nullptr);
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
  CW_ASSERT_OK_AND_ASSIGN(const auto good, world->GetSecret("www-tls"));
  int attempts = 0;
  for (const ChainVariant variant :
       {ChainVariant::kWithPrivateKey, ChainVariant::kForOtherKey, ChainVariant::kMissingName,
        ChainVariant::kExtraName, ChainVariant::kExpired, ChainVariant::kNotYetValid}) {
    SCOPED_TRACE(static_cast<int>(variant));
    Behaviour behaviour;
    behaviour.chain = variant;
    world->ca().SetBehaviour(behaviour);
    ++attempts;
    Renew(*world, "www");
    const Certificate certificate = WaitFor(*world, "www", [&](const Certificate& bad) {
      return bad.status().failed_issuance_attempts() == attempts;
    });
    const auto* issuing = service::FindCondition(certificate.status().conditions(), "Issuing");
    ASSERT_NE(issuing, nullptr);
    EXPECT_EQ(issuing->reason(), "Failed");
    // The next order would cost another certificate.
    EXPECT_GT(service::FromProto(certificate.status().next_attempt_time()),
              absl::Now() + absl::Minutes(30));
    EXPECT_THAT(issuing->message(), HasSubstr("chain"));
    EXPECT_THAT(issuing->message(), Not(HasSubstr("PRIVATE")));
    EXPECT_EQ(certificate.status().revision(), 1);
    CW_ASSERT_OK_AND_ASSIGN(const auto secret, world->GetSecret("www-tls"));
    EXPECT_EQ(secret.data().at("tls.crt"), good.data().at("tls.crt"));
    EXPECT_EQ(secret.data().at("tls.key"), good.data().at("tls.key"));
  }
  world->ca().SetBehaviour({});
  Renew(*world, "www");
  WaitForRevision(*world, "www", 2);
  CW_EXPECT_OK(world->VerifySecret("www-tls", {DnsName("www")}));
}

// Faults 61, 64 and 105.
TEST(OrderFaultsTest, WhatIsClearOfAnOddChainIsTaken) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  for (const ChainVariant variant :
       {ChainVariant::kWithRoot, ChainVariant::kOddPem, ChainVariant::kWrongOrder,
        ChainVariant::kDuplicate, ChainVariant::kRunTogether, ChainVariant::kOldLabels,
        ChainVariant::kDer}) {
    Behaviour behaviour;
    behaviour.chain = variant;
    world->ca().SetBehaviour(behaviour);
    const std::string name = absl::StrCat("c", static_cast<int>(variant));
    Create(*world, name);
    ExpectIssued(*world, {name});
    EXPECT_EQ(world->ca().orders_for({DnsName(name)}), 1);
    CW_ASSERT_OK_AND_ASSIGN(const auto secret, world->GetSecret(name + "-tls"));
    EXPECT_THAT(secret.data().at("tls.crt"), Not(HasSubstr(world->ca().root_pem())));
    EXPECT_THAT(secret.data().at("tls.crt"), Not(HasSubstr("\r")));
  }
}

}  // namespace
}  // namespace certwright::fakes
