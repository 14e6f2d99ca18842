// Faults of single requests to the CA, met by the real services: nonces, connections that
// break, bodies that are not what they should be.
#include <fstream>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/faults/fault_test_world.h"

namespace certwright::fakes {
namespace {

using harness::Service;

// Fault 2.
TEST(RequestFaultsTest, ANonceStormAtNewOrderPlacesNoSecondOrder) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  world->ca().Inject(Endpoint::kNewOrder, RefuseWith(400, "badNonce").Times(Fault::kForever));
  Create(*world, "www");
  const order::v1::Order order =
      WaitForOrder(*world, "www", [](const order::v1::Order& stormy) {
        return ReadyReason(stormy) == "ServerUnavailable";
      });
  EXPECT_EQ(order.status().url(), "");
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 0);
  world->ca().ClearFaults();
  ExpectIssued(*world, {"www"});
  EXPECT_EQ(world->ListOrders().size(), 1u);
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 1);
}

// Fault 16.
TEST(RequestFaultsTest, AConnectionThatBreaksAfterNewOrderLosesOneOrderAtMost) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  world->ca().Inject(Endpoint::kNewOrder, ResetAfter());
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
  EXPECT_EQ(world->ListOrders().size(), 1u);
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 2);
  EXPECT_EQ(world->ca().finalized(), 1);
}

// Fault 123.
TEST(RequestFaultsTest, ACaThatMakesOrdersButNeverSaysSoIsAskedSeldom) {
  FakeWorldOptions options = BelievingCa();
  options.acme_config = "requestTimeout: 2s";
  const auto world = StartWorld(std::move(options));
  ASSERT_NE(world, nullptr);
  Fault gateway_timeout = AnswerWith(504, "<html>gateway timeout</html>");
  gateway_timeout.takes_effect = true;
  const Fault faults[] = {ResetAfter(), Delay(absl::Seconds(10)), gateway_timeout};
  std::vector<absl::Time> retries;
  for (std::size_t i = 0; i < std::size(faults); ++i) {
    SCOPED_TRACE(i);
    world->ca().Inject(Endpoint::kNewOrder, faults[i].Times(Fault::kForever));
    const std::string name = absl::StrCat("c", i);
    Create(*world, name);
    const order::v1::Order order =
        WaitForOrder(*world, name, [](const order::v1::Order& unanswered) {
          return unanswered.status().unanswered_requests() == 2;
        });
    EXPECT_EQ(ReadyReason(order), "ServerUnavailable");
    retries.push_back(service::FromProto(order.status().retry_time()));
    EXPECT_GT(retries.back(), absl::Now() + absl::Minutes(1));
    world->ca().ClearFaults();
  }
  world->suite().Kill(Service::kOrder);
  CW_ASSERT_OK(world->suite().Restart(Service::kOrder));
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
  ASSERT_LT(absl::Now(), retries.front()) << "this machine is too slow for the test";
  for (std::size_t i = 0; i < std::size(faults); ++i) {
    EXPECT_EQ(world->ca().orders_for({DnsName(absl::StrCat("c", i))}), 2);
  }
}

// Fault 17.
TEST(RequestFaultsTest, AConnectionThatBreaksAfterFinalizeCostsNeitherOrderNorKey) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  world->ca().Inject(Endpoint::kFinalize, ResetAfter());
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 1);
  EXPECT_EQ(world->ca().finalized(), 1);
  EXPECT_EQ(world->ListOrders().size(), 1u);
}

// Fault 19.
TEST(RequestFaultsTest, AnOrderWhoseFirstAnswerIsGarbledIsKept) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  world->ca().Inject(Endpoint::kNewOrder, ReplaceBody(R"({"status":"pend)"));
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 1);
}

// Fault 62.
TEST(RequestFaultsTest, ACertificateThatIsNotThereYetIsFetchedAgain) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  Behaviour behaviour;
  behaviour.certificate_misses = 4;
  world->ca().SetBehaviour(behaviour);
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
  EXPECT_GE(world->ca().requests(Endpoint::kCertificate), 5);
  EXPECT_EQ(world->ca().finalized(), 1);
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 1);
}

const Endpoint kOnTheWay[] = {Endpoint::kDirectory, Endpoint::kNewNonce,   Endpoint::kNewOrder,
                              Endpoint::kOrder,     Endpoint::kAuthz,      Endpoint::kChallenge,
                              Endpoint::kFinalize,  Endpoint::kCertificate};

// Faults 18 and 20.
TEST(RequestFaultsTest, AnswersThatAreCutOrDripAtEveryEndpointAreOvercome) {
  FakeWorldOptions options = BelievingCa();
  options.acme_config = "requestTimeout: 2s";
  const auto world = StartWorld(std::move(options));
  ASSERT_NE(world, nullptr);
  std::vector<std::string> names;
  for (const Endpoint endpoint : kOnTheWay) {
    world->ca().Inject(endpoint, CutAfter(10));
    world->ca().Inject(endpoint, Drip(20));
  }
  for (int i = 0; i < 10; ++i) {
    names.push_back(absl::StrCat("c", i));
    Create(*world, names.back());
  }
  ExpectIssued(*world, names);
  EXPECT_EQ(world->ListOrders().size(), names.size());
}

double ResidentMib(FakeWorld& world, Service service) {
  std::ifstream file(absl::StrCat("/proc/", world.suite().process(service).pid(), "/status"));
  for (std::string word; file >> word;) {
    double kib = 0;
    if (word == "VmRSS:" && file >> kib) return kib / 1024;
  }
  return 0;
}

#ifdef CERTWRIGHT_SANITIZED
// A sanitizer keeps several octets for each one that is touched.
constexpr double kGrowthMib = 95;
#else
constexpr double kGrowthMib = 30;
#endif

// Fault 20.
TEST(RequestFaultsTest, ADirectoryOfAHundredMegabytesIsNotReadToItsEnd) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  Create(*world, "before");
  ExpectIssued(*world, {"before"});
  world->ca().Inject(Endpoint::kDirectory,
                     ReplaceBody(std::string(100 << 20, ' ')).Times(Fault::kForever));
  world->suite().Kill(Service::kOrder);
  CW_ASSERT_OK(world->suite().Restart(Service::kOrder));
  const double before = ResidentMib(*world, Service::kOrder);
  ASSERT_GT(before, 1);
  Create(*world, "www");
  const order::v1::Order order = WaitForOrder(*world, "www", [](const order::v1::Order& large) {
    return ReadyReason(large) == "ServerUnavailable";
  });
  EXPECT_THAT(ReadyMessage(order), testing::HasSubstr("directory"));
  EXPECT_LT(ResidentMib(*world, Service::kOrder), before + kGrowthMib);
  world->ca().ClearFaults();
  ExpectIssued(*world, {"www"});
}

// Fault 27.
TEST(RequestFaultsTest, ACaBehindABlackHoleIsSaidToBeOutOfReachAndComesBack) {
  FakeWorldOptions options = BelievingCa();
  options.proxies = true;
  options.acme_config = "requestTimeout: 2s";
  const auto world = StartWorld(std::move(options));
  ASSERT_NE(world, nullptr);
  world->ca_proxy().SetWeather({.black_hole = true});
  Create(*world, "www");
  const order::v1::Order order = WaitForOrder(*world, "www", [](const order::v1::Order& lost) {
    return ReadyReason(lost) == "ServerUnavailable";
  });
  EXPECT_THAT(ReadyMessage(order), testing::HasSubstr("did not answer"));
  WaitFor(*world, "www", [](const issuer::v1::Certificate& certificate) {
    return ReadyMessage(certificate).find("did not answer") != std::string::npos;
  });
  world->ca_proxy().SetWeather({});
  world->ca_proxy().BreakAll();
  ExpectIssued(*world, {"www"});
  EXPECT_EQ(world->ca().finalized(), 1);
}

}  // namespace
}  // namespace certwright::fakes
