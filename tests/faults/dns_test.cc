// Nameservers that lag, are lame or truncate, met by the real services.
#include "absl/time/clock.h"
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
