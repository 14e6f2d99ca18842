#include "services/solver/dns01_self_check.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/resolver_fake.h"
#include "lib/runtime/run_sync.h"
#include "services/solver/record_location.h"

namespace certwright::solver {
namespace {

using base::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kName[] = "_acme-challenge.www.example.test";

dns::Finding MakeFinding(const std::string& server, dns::Outcome outcome) {
  dns::Finding finding;
  finding.nameserver = server;
  finding.address = "127.0.0.1:5301";
  finding.outcome = outcome;
  finding.detail = "answered SERVFAIL";
  return finding;
}

TEST(DescribePropagationTest, NamesTheServerThatLacksTheRecord) {
  dns::PropagationReport report;
  report.findings = {MakeFinding("ns1.example.test", dns::Outcome::kPresent),
                     MakeFinding("ns2.example.test", dns::Outcome::kAbsent)};
  EXPECT_EQ(DescribePropagation(report),
            "ns2.example.test (127.0.0.1:5301) does not have the record yet");
  report.findings.push_back(MakeFinding("ns3.example.test", dns::Outcome::kUnreachable));
  EXPECT_EQ(DescribePropagation(report),
            "ns2.example.test (127.0.0.1:5301) does not have the record yet, nor do 1 more "
            "servers");
}

TEST(DescribePropagationTest, SaysWhatElseMayBeWrong) {
  dns::PropagationReport report;
  EXPECT_THAT(DescribePropagation(report), HasSubstr("no nameserver could be asked"));
  report.findings = {MakeFinding("ns1.example.test", dns::Outcome::kUnreachable)};
  EXPECT_EQ(DescribePropagation(report), "ns1.example.test (127.0.0.1:5301) does not answer");
  report.findings.push_back(MakeFinding("ns2.example.test", dns::Outcome::kServerFailure));
  EXPECT_THAT(DescribePropagation(report),
              HasSubstr("ns2.example.test (127.0.0.1:5301): answered SERVFAIL"));
  report.propagated = true;
  EXPECT_EQ(DescribePropagation(report), "");
}

class Dns01SelfCheckTest : public testing::Test {
 protected:
  Dns01SelfCheckTest() {
    for (const char* type : {"", "192.0.2.53"}) {
      resolver_.Set(type, kName, dns::RecordType::kSoa, dns::NxDomain("example.test"));
    }
    resolver_.Set("", "example.test", dns::RecordType::kNs,
                  dns::Answering({dns::NsRecord("example.test", "ns1.example.test")}));
    resolver_.Set("", "ns1.example.test", dns::RecordType::kA,
                  dns::Answering({dns::AddressRecord("ns1.example.test", "192.0.2.1")}));
    resolver_.Set("", "ns1.example.test", dns::RecordType::kAaaa, dns::NoData("example.test"));
  }
  static runtime::Context Soon() {
    return runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(30));
  }

  base::FakeClock clock_;
  dns::FakeDnsResolver resolver_;
  dns::PropagationChecker checker_{resolver_, clock_};
};

TEST_F(Dns01SelfCheckTest, AsksTheZonesServersAtTheConfiguredPort) {
  Dns01SelfCheck check(checker_, Dns01CheckOptions{{"192.0.2.53"}, 5353});
  v1::Challenge challenge;
  challenge.mutable_spec()->set_dns_name("www.example.test");
  challenge.mutable_spec()->set_key("value");
  auto config = std::make_shared<SolverConfig>();
  resolver_.Set("192.0.2.1:5353", kName, dns::RecordType::kTxt, dns::NxDomain("example.test"));
  CW_ASSERT_OK_AND_ASSIGN(SelfCheckResult result,
                          runtime::RunSync(check.Check(Soon(), challenge, config)));
  EXPECT_FALSE(result.found);
  EXPECT_EQ(result.reason, "ns1.example.test (192.0.2.1:5353) does not have the record yet");
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].outcome(), v1::PROPAGATION_OUTCOME_ABSENT);
  resolver_.Set("192.0.2.1:5353", kName, dns::RecordType::kTxt,
                dns::Answering({dns::TxtRecord(kName, "value")}));
  CW_ASSERT_OK_AND_ASSIGN(result, runtime::RunSync(check.Check(Soon(), challenge, config)));
  EXPECT_TRUE(result.found);
  EXPECT_EQ(result.reason, "");
}

TEST_F(Dns01SelfCheckTest, TheSolversNameserversReplaceTheServices) {
  Dns01SelfCheck check(checker_, Dns01CheckOptions{{"192.0.2.53"}, 53});
  v1::Challenge challenge;
  challenge.mutable_spec()->set_dns_name("www.example.test");
  challenge.mutable_spec()->set_key("value");
  auto config = std::make_shared<SolverConfig>();
  config->solver.mutable_self_check()->add_nameservers("192.0.2.54");
  config->solver.mutable_self_check()->set_mode(issuer::v1::SELF_CHECK_MODE_RECURSIVE);
  resolver_.Set("192.0.2.54", kName, dns::RecordType::kTxt,
                dns::Answering({dns::TxtRecord(kName, "value")}));
  CW_ASSERT_OK_AND_ASSIGN(const SelfCheckResult result,
                          runtime::RunSync(check.Check(Soon(), challenge, config)));
  EXPECT_TRUE(result.found);
}

class RecordLocationTest : public Dns01SelfCheckTest {
 protected:
  absl::StatusOr<RecordLocation> Locate(const issuer::v1::Dns01Solver& solver) {
    return runtime::RunSync(
        LocateRecord(Soon(), resolver_, "www.example.test", solver, {"192.0.2.53"}));
  }
};

TEST_F(RecordLocationTest, FindsTheZoneWithOneQuestion) {
  CW_ASSERT_OK_AND_ASSIGN(const RecordLocation location, Locate({}));
  EXPECT_EQ(location.name, kName);
  EXPECT_EQ(location.zone, "example.test");
  EXPECT_EQ(resolver_.queries().size(), 1u);
}

// Fault 75.
TEST_F(RecordLocationTest, FollowsAliasesUnlessToldNotTo) {
  dns::Message alias = dns::NxDomain("dyn.test");
  alias.answers.push_back(dns::CnameRecord(kName, "x.dyn.test"));
  resolver_.Set("192.0.2.53", kName, dns::RecordType::kSoa, alias);
  resolver_.Set("192.0.2.53", "x.dyn.test", dns::RecordType::kSoa, dns::NxDomain("dyn.test"));
  CW_ASSERT_OK_AND_ASSIGN(RecordLocation location, Locate({}));
  EXPECT_EQ(location.name, "x.dyn.test");
  EXPECT_EQ(location.zone, "dyn.test");
  issuer::v1::Dns01Solver none;
  none.set_cname_strategy(issuer::v1::CNAME_STRATEGY_NONE);
  resolver_.Set("192.0.2.53", "www.example.test", dns::RecordType::kSoa,
                dns::NoData("example.test"));
  CW_ASSERT_OK_AND_ASSIGN(location, Locate(none));
  EXPECT_EQ(location.name, kName);
  EXPECT_EQ(location.zone, "example.test");
}

TEST_F(RecordLocationTest, TakesTheSolversZone) {
  issuer::v1::Dns01Solver solver;
  solver.mutable_rfc2136()->set_zone("WWW.example.test.");
  CW_ASSERT_OK_AND_ASSIGN(const RecordLocation location, Locate(solver));
  EXPECT_EQ(location.zone, "www.example.test");
  solver.mutable_rfc2136()->set_zone("other.test");
  EXPECT_THAT(Locate(solver), StatusIs(absl::StatusCode::kFailedPrecondition,
                                       HasSubstr("is not in the zone other.test")));
}

}  // namespace
}  // namespace certwright::solver
