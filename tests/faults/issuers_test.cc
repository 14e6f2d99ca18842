// CAs that go away, end accounts or advise nonsense about renewal, met by the real services.
#include <set>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/faults/fault_test_world.h"

namespace certwright::fakes {
namespace {

using harness::Service;
using issuer::v1::Certificate;

// A world whose Certificates turn to the ClusterIssuer "second", of a CA of its own, soon.
struct TwoCas {
  std::unique_ptr<FakeWorld> world;
  std::unique_ptr<CaServer> second;
};

TwoCas StartTwoCas() {
  TwoCas cas;
  FakeWorldOptions options = BelievingCa();
  options.extra_config[static_cast<std::size_t>(Service::kIssuer)] =
      "fallback: {after: 1s, hold: 3s}\n";
  cas.world = StartWorld(std::move(options));
  CaServerOptions second;
  second.validation.assume_valid = true;
  auto ca = CaServer::Start(std::move(second));
  EXPECT_THAT(ca, base::IsOk());
  if (cas.world == nullptr || !ca.ok()) return {};
  cas.second = *std::move(ca);
  auto issuer = cas.world->MakeClusterIssuer({}, "second");
  issuer.mutable_spec()->mutable_acme()->set_server(cas.second->directory_url());
  issuer.mutable_spec()->mutable_acme()->set_ca_bundle(cas.second->tls_ca_pem());
  CW_EXPECT_OK(cas.world->CreateClusterIssuer(issuer));
  return cas;
}

void CreateWithFallback(FakeWorld& world, const std::string& name) {
  Certificate certificate = FakeWorld::MakeCertificate(name, {DnsName(name)});
  meta::v1::IssuerRef& fallback = *certificate.mutable_spec()->add_fallback_issuer_refs();
  fallback.set_name("second");
  fallback.set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  CW_EXPECT_OK(world.CreateCertificate(certificate));
}

std::function<bool(const Certificate&)> IssuedBy(const std::string& issuer, int revision) {
  return [=](const Certificate& certificate) {
    return certificate.status().revision() == revision &&
           certificate.status().issuer_in_use().name() == issuer;
  };
}

std::set<std::string> Replaced(FakeWorld& world) {
  std::set<std::string> replaced;
  for (const order::v1::Order& order : world.ListOrders()) {
    replaced.insert(order.spec().replaces());
  }
  return replaced;
}

// Faults 10 and 93.
TEST(IssuerFaultsTest, TheSecondCaIssuesWhileTheFirstIsAwayAndReplacesCrossesNoCa) {
  const TwoCas cas = StartTwoCas();
  ASSERT_NE(cas.second, nullptr);
  FakeWorld& world = *cas.world;
  for (const Endpoint endpoint : {Endpoint::kDirectory, Endpoint::kNewOrder}) {
    world.ca().Inject(endpoint, AnswerWith(503, "busy", "text/plain").Times(Fault::kForever));
  }
  CreateWithFallback(world, "www");
  WaitFor(world, "www", IssuedBy("second", 1));
  EXPECT_EQ(cas.second->orders_for({DnsName("www")}), 1);
  EXPECT_EQ(world.ca().orders_for({DnsName("www")}), 0);
  const std::string of_second = CertIdOf(world, "www");

  world.ca().ClearFaults();
  WaitFor(world, "www", [](const Certificate& certificate) {
    return certificate.status().issuer_outages_size() == 1 &&
           service::FromProto(certificate.status().issuer_outages(0).until()) < absl::Now();
  });
  // The directory is left alone for some seconds after it could not be fetched.
  Renew(world, "www");
  WaitFor(world, "www", IssuedBy("fake", 2));
  CW_EXPECT_OK(world.VerifySecret("www-tls", {DnsName("www")}));
  EXPECT_FALSE(Replaced(world).contains(of_second));
  EXPECT_EQ(world.ca().orders_for({DnsName("www")}), 1);
  // At the same CA it is told, once it has been asked about the certificate.
  const std::string of_first = CertIdOf(world, "www");
  WaitFor(world, "www", [&of_first](const Certificate& certificate) {
    const issuer::v1::RenewalInfo& info = certificate.status().renewal_info();
    return info.certificate_id() == of_first && info.has_window_start();
  });
  Renew(world, "www");
  WaitFor(world, "www", IssuedBy("fake", 3));
  EXPECT_THAT(Replaced(world), testing::Contains(of_first));
}

// Fault 30.
TEST(IssuerFaultsTest, AnAccountThatIsEndedMakesTheIssuerNotReadyAndTheNextOneIssue) {
  const TwoCas cas = StartTwoCas();
  ASSERT_NE(cas.second, nullptr);
  FakeWorld& world = *cas.world;
  Behaviour slow;
  slow.processing = absl::InfiniteDuration();
  world.ca().SetBehaviour(slow);
  CreateWithFallback(world, "www");
  WaitForOrder(world, "www", [](const order::v1::Order& order) {
    return order.status().state() == order::v1::ORDER_STATE_PROCESSING;
  });
  world.ca().DeactivateAccounts();
  std::string last;
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        issuer::v1::GetClusterIssuerRequest request;
        request.set_name("fake");
        issuer::v1::GetClusterIssuerResponse response;
        if (!world.issuers()
                 .GetClusterIssuer(harness::MakeContext().get(), request, &response)
                 .ok()) {
          return false;
        }
        const auto& conditions = response.cluster_issuer().status().conditions();
        last = harness::DescribeConditions(conditions);
        return !service::IsTrue(conditions, "Ready");
      },
      kTimeout))
      << last;
  WaitFor(world, "www", IssuedBy("second", 1));
}

// Fault 97.
TEST(IssuerFaultsTest, SenselessRenewalInformationHoldsUpNothing) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  const Fault faults[] = {
      ReplaceBody("<html>what?</html>"),
      RefuseWith(404, "malformed"),
      // It ends before it begins.
      ReplaceBody(R"({"suggestedWindow":{"start":"2030-01-02T00:00:00Z",)"
                  R"("end":"2030-01-01T00:00:00Z"}})"),
      RefuseWith(500, "serverInternal"),
  };
  for (std::size_t i = 0; i < std::size(faults); ++i) {
    SCOPED_TRACE(i);
    world->ca().Inject(Endpoint::kRenewalInfo, faults[i].Times(Fault::kForever));
    const std::string name = absl::StrCat("c", i);
    Create(*world, name);
    ExpectIssued(*world, {name});
    const Certificate certificate = WaitFor(*world, name, [](const Certificate& advised) {
      return advised.status().renewal_info().last_error() != "";
    });
    EXPECT_EQ(certificate.status().revision(), 1);
    // As it is where a CA gives no advice.
    EXPECT_GT(service::FromProto(certificate.status().renewal_time()),
              absl::Now() + absl::Hours(24 * 30));
    EXPECT_TRUE(certificate.status().renewal_info().has_next_check());
    world->ca().ClearFaults();
  }
}

// Faults 97 and 98.
TEST(IssuerFaultsTest, AWindowInThePastRenewsAtOnceAndTheSuccessorIsNotHurried) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
  // Of a certificate that has been asked about the next question is hours away, so those that
  // are issued from now on are in the past.
  Behaviour behaviour;
  behaviour.renewal_window = {absl::Now() - absl::Hours(48), absl::Now() - absl::Hours(24)};
  world->ca().SetBehaviour(behaviour);
  Renew(*world, "www");
  WaitForRevision(*world, "www", 3);
  // The CA says the same of the successor.
  const Certificate certificate = WaitFor(*world, "www", [](const Certificate& renewed) {
    return service::IsTrue(renewed.status().conditions(), "RenewalAdjusted");
  });
  EXPECT_EQ(
      service::FindCondition(certificate.status().conditions(), "RenewalAdjusted")->reason(),
      "AdvisedTooEarly");
  EXPECT_EQ(ReadyReason(certificate), "Ready");
  EXPECT_GT(service::FromProto(certificate.status().renewal_time()),
            absl::Now() + absl::Hours(24 * 8));
  EXPECT_EQ(certificate.status().revision(), 3);
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 3);
  CW_EXPECT_OK(world->VerifySecret("www-tls", {DnsName("www")}));
}

}  // namespace
}  // namespace certwright::fakes
