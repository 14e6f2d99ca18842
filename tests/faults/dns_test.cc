// Nameservers that lag, are lame or truncate, met by the real services.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "certwright/meta/v1/event_service.grpc.pb.h"
#include "gmock/gmock.h"
#include "lib/dns/message.h"
#include "tests/faults/fault_test_world.h"

namespace certwright::fakes {
namespace {

constexpr char kZone[] = "example.test";
constexpr char kProofName[] = "_acme-challenge.www.example.test";

dns::Record MakeRecord(const std::string& name, dns::RecordType type,
                       decltype(dns::Record::data) data) {
  dns::Record record;
  record.name = name;
  record.type = type;
  record.ttl = 1;
  record.data = std::move(data);
  return record;
}

void AddNameservers(DnsServer& server) {
  server.AddRecord(MakeRecord(kZone, dns::RecordType::kNs, dns::NameData{"ns1.example.test"}));
  server.AddRecord(MakeRecord(kZone, dns::RecordType::kNs, dns::NameData{"ns2.example.test"}));
  server.AddRecord(
      MakeRecord("ns1.example.test", dns::RecordType::kA, dns::AddressData{"127.0.0.1"}));
  server.AddRecord(
      MakeRecord("ns2.example.test", dns::RecordType::kA, dns::AddressData{"127.0.0.2"}));
}

// A world whose zone has a second nameserver, which gets no updates.
class TwoNameserversTest : public testing::Test {
 protected:
  void SetUp() override {
    world_ = StartWorld({}, {kZone});
    ASSERT_NE(world_, nullptr);
    DnsServerOptions options;
    options.address = "127.0.0.2";
    options.port = world_->dns().port();
    second_ = std::make_unique<DnsServer>(options);
    AddNameservers(world_->dns());
    AddNameservers(*second_);
  }

  // What the Challenge last said about the nameserver at this address.
  solver::v1::PropagationOutcome OutcomeAt(const std::string& address) {
    for (const solver::v1::Challenge& challenge : world_->ListChallenges()) {
      for (const auto& finding : challenge.status().propagation()) {
        if (finding.address().find(address) != std::string::npos) return finding.outcome();
      }
    }
    return solver::v1::PROPAGATION_OUTCOME_UNSPECIFIED;
  }

  // Until the proof is out, which the second one, which lags, keeps it.
  bool WaitUntilPresented() {
    return harness::WaitUntil([this] { return !world_->dns().TxtValues(kProofName).empty(); },
                              kTimeout);
  }
  void DeleteIssuerAndCertificate() {
    issuer::v1::DeleteClusterIssuerRequest issuer;
    issuer.set_name("fake");
    issuer::v1::DeleteClusterIssuerResponse issuer_deleted;
    CW_EXPECT_OK(harness::FromGrpc(world_->issuers().DeleteClusterIssuer(
        harness::MakeContext().get(), issuer, &issuer_deleted)));
    issuer::v1::DeleteCertificateRequest certificate;
    certificate.set_name("www");
    issuer::v1::DeleteCertificateResponse certificate_deleted;
    CW_EXPECT_OK(harness::FromGrpc(world_->certificates().DeleteCertificate(
        harness::MakeContext().get(), certificate, &certificate_deleted)));
  }
  absl::Status CreateIssuerAgain() {
    issuer::v1::CreateClusterIssuerRequest request;
    *request.mutable_cluster_issuer() = world_->MakeClusterIssuer({kZone});
    issuer::v1::CreateClusterIssuerResponse response;
    return harness::FromGrpc(world_->issuers().CreateClusterIssuer(harness::MakeContext().get(),
                                                                   request, &response));
  }
  // What the solver service tells of clean-up that fails; empty if nothing.
  std::string CleanUpFailure() {
    const auto stub =
        meta::v1::EventService::NewStub(world_->suite().channel(harness::Service::kSolver));
    meta::v1::ListEventsResponse response;
    const grpc::Status status = stub->ListEvents(harness::MakeContext().get(),
                                                 meta::v1::ListEventsRequest(), &response);
    for (const meta::v1::Event& event : response.events()) {
      if (event.reason() == "CleanUpFailed") return event.message();
    }
    return "";
  }

  std::unique_ptr<FakeWorld> world_;
  std::unique_ptr<DnsServer> second_;
};

// Fault 69.
TEST_F(TwoNameserversTest, TheCaIsToldOnlyWhenTheOneThatLagsShowsTheValueToo) {
  Create(*world_, "www");
  EXPECT_TRUE(harness::WaitUntil(
      [this] { return OutcomeAt("127.0.0.2") == solver::v1::PROPAGATION_OUTCOME_ABSENT; },
      kTimeout));
  EXPECT_EQ(OutcomeAt("127.0.0.1"), solver::v1::PROPAGATION_OUTCOME_PRESENT);
  EXPECT_EQ(world_->ca().requests(Endpoint::kChallenge), 0);
  const std::vector<std::string> values = world_->dns().TxtValues(kProofName);
  ASSERT_EQ(values.size(), 1u);
  second_->AddTxt(kProofName, values[0]);
  ExpectIssued(*world_, {"www"});
  EXPECT_EQ(world_->ca().requests(Endpoint::kChallenge), 1);
  EXPECT_EQ(OutcomeAt("127.0.0.2"), solver::v1::PROPAGATION_OUTCOME_PRESENT);
}

// Fault 70.
TEST_F(TwoNameserversTest, ALameOneIsReportedAndDoesNotCount) {
  second_->Inject({.kind = DnsFault::Kind::kLame, .times = DnsFault::kForever});
  Create(*world_, "www");
  ExpectIssued(*world_, {"www"});
  EXPECT_EQ(OutcomeAt("127.0.0.1"), solver::v1::PROPAGATION_OUTCOME_PRESENT);
  EXPECT_EQ(OutcomeAt("127.0.0.2"), solver::v1::PROPAGATION_OUTCOME_NOT_AUTHORITATIVE);
}

// Fault 70.
TEST_F(TwoNameserversTest, OneThatFailsBlocksUntilItAnswers) {
  second_->Inject({.kind = DnsFault::Kind::kRcode,
                   .rcode = dns::Rcode::kServFail,
                   .times = DnsFault::kForever});
  Create(*world_, "www");
  EXPECT_TRUE(harness::WaitUntil(
      [this] { return OutcomeAt("127.0.0.2") == solver::v1::PROPAGATION_OUTCOME_ERROR; },
      kTimeout));
  EXPECT_EQ(world_->ca().requests(Endpoint::kChallenge), 0);
  const std::vector<std::string> values = world_->dns().TxtValues(kProofName);
  ASSERT_EQ(values.size(), 1u);
  second_->AddTxt(kProofName, values[0]);
  second_->ClearFaults();
  ExpectIssued(*world_, {"www"});
}

// Fault 110.
TEST_F(TwoNameserversTest, WhatIsOutIsRemovedThoughItsIssuerIsDeleted) {
  Create(*world_, "www");
  ASSERT_TRUE(WaitUntilPresented());
  DeleteIssuerAndCertificate();
  EXPECT_TRUE(harness::WaitUntil([this] { return world_->dns().TxtValues(kProofName).empty(); },
                                 kTimeout));
}

// Fault 110.
TEST_F(TwoNameserversTest, WhatCannotBeRemovedAnyMoreIsShown) {
  Create(*world_, "www");
  ASSERT_TRUE(WaitUntilPresented());
  const std::vector<std::string> values = world_->dns().TxtValues(kProofName);
  ASSERT_EQ(values.size(), 1u);
  world_->suite().Kill(harness::Service::kSolver);
  DeleteIssuerAndCertificate();
  CW_ASSERT_OK(world_->suite().Restart(harness::Service::kSolver));
  std::string message;
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        message = CleanUpFailure();
        return !message.empty();
      },
      kTimeout));
  EXPECT_THAT(message,
              testing::AllOf(testing::HasSubstr(kProofName), testing::HasSubstr(values[0]),
                             testing::HasSubstr("by hand")));
  // Its issuer made again, it is removed.
  CW_ASSERT_OK(CreateIssuerAgain());
  EXPECT_TRUE(harness::WaitUntil([this] { return world_->dns().TxtValues(kProofName).empty(); },
                                 kTimeout));
}

// Fault 108.
TEST(DnsFaultsTest, AResolverThatFailsForSoaAloneBlocksNothing) {
  const auto world = StartWorld(BelievingCa(), {kZone});
  ASSERT_NE(world, nullptr);
  world->dns().Inject({.kind = DnsFault::Kind::kRcode,
                       .rcode = dns::Rcode::kServFail,
                       .times = DnsFault::kForever,
                       .type = dns::RecordType::kSoa});
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
}

// Fault 108.
TEST(DnsFaultsTest, WhoAnswersEdnsByAHeaderAloneIsAskedAgainWithout) {
  const auto world = StartWorld(BelievingCa(), {kZone});
  ASSERT_NE(world, nullptr);
  world->dns().Inject({.kind = DnsFault::Kind::kBareRcode,
                       .rcode = dns::Rcode::kFormErr,
                       .times = DnsFault::kForever});
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
}

// Fault 108.
TEST(DnsFaultsTest, AnAliasedZoneThatRefusesIsNamedWithTheWayOut) {
  for (const auto& [rcode, says] :
       {std::pair(dns::Rcode::kRefused, "REFUSED"), std::pair(dns::Rcode::kNotAuth, "NOTAUTH"),
        std::pair(dns::Rcode::kNotZone, "NOTZONE")}) {
    SCOPED_TRACE(says);
    FakeWorldOptions options = BelievingCa();
    options.dns.zones = {kZone, "dyn.test"};
    auto world = FakeWorld::Start(std::move(options));
    ASSERT_THAT(world, base::IsOk());
    issuer::v1::ClusterIssuer issuer = (*world)->MakeClusterIssuer({kZone});
    auto& dns01 = *issuer.mutable_spec()->mutable_acme()->mutable_solvers(1)->mutable_dns01();
    dns01.add_alias_zones("dyn.test");
    (*world)->dns().AddCname(kProofName, "www.dyn.test");
    (*world)->dns().Inject({.kind = DnsFault::Kind::kRcode,
                            .rcode = rcode,
                            .times = DnsFault::kForever,
                            .name = "dyn.test",
                            .updates = true});
    CW_ASSERT_OK((*world)->CreateClusterIssuer(issuer));
    Create(**world, "www");
    std::string reason;
    EXPECT_TRUE(harness::WaitUntil(
        [&] {
          for (const auto& challenge : (*world)->ListChallenges()) {
            reason = challenge.status().reason();
          }
          return reason.find(says) != std::string::npos;
        },
        kTimeout));
    EXPECT_THAT(reason, testing::AllOf(testing::HasSubstr(kProofName),
                                       testing::HasSubstr("alias of www.dyn.test"),
                                       testing::HasSubstr("CNAME_STRATEGY_NONE")));
    // The way out leads out.
    (*world)->dns().RemoveRecords(kProofName);
    dns01.set_cname_strategy(issuer::v1::CNAME_STRATEGY_NONE);
    issuer::v1::UpdateClusterIssuerRequest update;
    *update.mutable_cluster_issuer() = issuer;
    issuer::v1::UpdateClusterIssuerResponse updated;
    CW_ASSERT_OK(harness::FromGrpc((*world)->issuers().UpdateClusterIssuer(
        harness::MakeContext().get(), update, &updated)));
    ExpectIssued(**world, {"www"});
  }
}

// Fault 73.
TEST(DnsFaultsTest, WhatIsTruncatedIsAskedByTcp) {
  const auto world = StartWorld(BelievingCa(), {kZone});
  ASSERT_NE(world, nullptr);
  for (const bool updates : {false, true}) {
    world->dns().Inject(
        {.kind = DnsFault::Kind::kTruncate, .times = DnsFault::kForever, .updates = updates});
  }
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
  EXPECT_GE(world->dns().updates(), 1);
}

}  // namespace
}  // namespace certwright::fakes
