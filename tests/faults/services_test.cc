// Faults of the services themselves, and many faults at once.
#include <cstdlib>

#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/faults/fault_test_world.h"

namespace certwright::fakes {
namespace {

using harness::Service;

// Fault 90.
TEST(ServiceFaultsTest, AnOrderWaitsForASolverThatIsDownAndGoesOn) {
  const auto world = StartWorld({});
  ASSERT_NE(world, nullptr);
  world->suite().Kill(Service::kSolver);
  Create(*world, "www");
  const order::v1::Order waiting =
      WaitForOrder(*world, "www", [](const order::v1::Order& order) {
        return ReadyMessage(order).find("The solver service") != std::string::npos;
      });
  EXPECT_NE(waiting.status().url(), "");
  CW_ASSERT_OK(world->suite().Restart(Service::kSolver));
  ExpectIssued(*world, {"www"});
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 1);
}

// Fault 90.
TEST(ServiceFaultsTest, AnOrderWaitsForASolverBehindABlackHoleAndGoesOn) {
  FakeWorldOptions options;
  options.proxies = true;
  const auto world = StartWorld(std::move(options));
  ASSERT_NE(world, nullptr);
  FaultProxy& to_solver = world->proxy(Service::kOrder, Service::kSolver);
  to_solver.SetWeather({.black_hole = true});
  Create(*world, "www");
  EXPECT_FALSE(world->WaitUntilReady({"www"}, absl::Seconds(20)).ok());
  EXPECT_EQ(world->ca().requests(Endpoint::kChallenge), 0);
  to_solver.SetWeather({});
  to_solver.BreakAll();
  ExpectIssued(*world, {"www"});
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 1);
}

// Fault 88.
TEST(ServiceFaultsTest, ASecondOrderServiceOnTheSameStoreDoesNotStart) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  const std::string& folder = world->suite().folder();
  CW_ASSERT_OK_AND_ASSIGN(const std::string config, harness::ReadFile(folder + "/order.yaml"));
  harness::WriteFile(
      folder + "/second.yaml",
      absl::StrReplaceAll(config, {{world->suite().address(Service::kOrder), "127.0.0.1:0"}}));
  harness::ProcessSpec spec;
  spec.name = "second";
  spec.arguments = {
      absl::StrCat(std::getenv("TEST_SRCDIR"), "/certwright/services/order/certwright-order"),
      absl::StrCat("--config=", folder, "/second.yaml")};
  spec.log_file = folder + "/second.log";
  CW_ASSERT_OK_AND_ASSIGN(const auto second, harness::Process::Start(std::move(spec)));
  CW_ASSERT_OK_AND_ASSIGN(const int status, second->Wait(kTimeout));
  EXPECT_NE(status, 0);
  EXPECT_THAT(second->LogTail(),
              testing::HasSubstr("order.db: the store is open in another process"));
  // The first does not mind.
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
}

// Fault 95.
TEST(ServiceFaultsTest, OneThatTheCaAlwaysFailsDelaysNoOther) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  Behaviour behaviour;
  behaviour.refused_names[DnsName("poison")] = {.status = 500, .type = "serverInternal"};
  world->ca().SetBehaviour(behaviour);
  Create(*world, "poison");
  WaitForOrder(*world, "poison", [](const order::v1::Order& order) {
    return ReadyReason(order) == "ServerUnavailable";
  });
  const absl::Time start = absl::Now();
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) {
    names.push_back(absl::StrCat("c", i));
    Create(*world, names.back());
  }
  ExpectIssued(*world, names);
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
  EXPECT_EQ(world->ca().orders_for({DnsName("poison")}), 0);
  world->ca().SetBehaviour({});
  ExpectIssued(*world, {"poison"});
}

// Faults 16 and 22.
TEST(ServiceFaultsTest, TwoHundredAreIssuedWhileEveryTwentiethAnswerIsWrong) {
  constexpr int kCertificates = 200;
  const auto world = StartWorld({}, {"dns.example.test"});
  ASSERT_NE(world, nullptr);
  world->ca().SetRandomFaults({.percent = 5, .seed = 7});
  std::vector<std::string> names;
  for (int i = 0; i < kCertificates; ++i) {
    names.push_back(absl::StrCat("c", i));
    CW_ASSERT_OK(world->CreateCertificate(FakeWorld::MakeCertificate(
        names.back(),
        {absl::StrCat(names.back(), i % 2 == 0 ? ".dns" : "", ".example.test")})));
  }
  CW_ASSERT_OK(world->WaitUntilReady(names, absl::Minutes(5)));
  EXPECT_GT(world->ca().faults(), 50);
  EXPECT_EQ(world->ca().finalized(), kCertificates);
  EXPECT_EQ(world->ListOrders().size(), static_cast<std::size_t>(kCertificates));
  // An order is lost only where its answer was.
  EXPECT_LE(world->ca().orders(), kCertificates + world->ca().faults());
  EXPECT_LE(world->ca().orders(), world->ca().requests(Endpoint::kNewOrder));
  for (int i = 0; i < kCertificates; ++i) {
    const std::string dns_name =
        absl::StrCat("c", i, i % 2 == 0 ? ".dns" : "", ".example.test");
    CW_EXPECT_OK(world->VerifySecret(absl::StrCat("c", i, "-tls"), {dns_name}));
    EXPECT_TRUE(harness::WaitUntil(
        [&] {
          return world->dns().TxtValues(absl::StrCat("_acme-challenge.", dns_name)).empty();
        },
        kTimeout))
        << dns_name;
  }
}

}  // namespace
}  // namespace certwright::fakes
