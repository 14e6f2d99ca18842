#include "services/solver/dns01_self_check.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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
using testing::AllOf;
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
      resolver_.Set(type, kName, dns::RecordType::kCname, dns::NxDomain("example.test"));
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
  const dns::ServerPolicy policy_{*http::AddressRanges::Parse({"192.0.2.0/24"}), {}};
  const RecursiveNameservers nameservers_{{"192.0.2.53"}, policy_};
  dns::PropagationChecker checker_{resolver_, clock_, policy_};
};

TEST_F(Dns01SelfCheckTest, AsksTheZonesServersAtTheConfiguredPort) {
  Dns01SelfCheck check(checker_, Dns01CheckOptions{nameservers_, 5353});
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
  Dns01SelfCheck check(checker_, Dns01CheckOptions{nameservers_, 53});
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

TEST_F(Dns01SelfCheckTest, WhatThePolicyForbidsIsReportedAndNotAsked) {
  Dns01SelfCheck check(checker_, Dns01CheckOptions{nameservers_, 53});
  v1::Challenge challenge;
  challenge.mutable_spec()->set_dns_name("www.example.test");
  challenge.mutable_spec()->set_key("value");
  auto config = std::make_shared<SolverConfig>();
  resolver_.Set("", "ns1.example.test", dns::RecordType::kA,
                dns::Answering({dns::AddressRecord("ns1.example.test", "10.0.0.1")}));
  CW_ASSERT_OK_AND_ASSIGN(const SelfCheckResult result,
                          runtime::RunSync(check.Check(Soon(), challenge, config)));
  EXPECT_FALSE(result.found);
  EXPECT_THAT(result.reason, HasSubstr("10.0.0.1:53 is refused by policy"));
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].outcome(), v1::PROPAGATION_OUTCOME_FORBIDDEN);
  const std::size_t before = resolver_.queries().size();
  config->solver.mutable_self_check()->add_nameservers("10.0.0.1:22");
  EXPECT_THAT(runtime::RunSync(check.Check(Soon(), challenge, config)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("dnsAllowedRanges")));
  EXPECT_EQ(resolver_.queries().size(), before);
}

// Fault 108.
TEST_F(Dns01SelfCheckTest, FollowsAliasesAndLooksForTheZoneAsTheSolverSays) {
  Dns01SelfCheck check(checker_, Dns01CheckOptions{nameservers_, 53});
  v1::Challenge challenge;
  challenge.mutable_spec()->set_dns_name("www.example.test");
  challenge.mutable_spec()->set_key("value");
  resolver_.Set("192.0.2.53", kName, dns::RecordType::kCname,
                dns::Answering({dns::CnameRecord(kName, "x.example.test")}));
  resolver_.Set("192.0.2.53", "x.example.test", dns::RecordType::kCname,
                dns::NxDomain("example.test"));
  resolver_.Set("192.0.2.1", "x.example.test", dns::RecordType::kTxt,
                dns::Answering({dns::TxtRecord("x.example.test", "value")}));
  resolver_.Set("192.0.2.1", kName, dns::RecordType::kTxt,
                dns::Answering({dns::CnameRecord(kName, "x.example.test"),
                                dns::TxtRecord("x.example.test", "value")}));
  for (const auto& [strategy, found] : {std::pair(issuer::v1::CNAME_STRATEGY_UNSPECIFIED, true),
                                        std::pair(issuer::v1::CNAME_STRATEGY_FOLLOW, true),
                                        std::pair(issuer::v1::CNAME_STRATEGY_NONE, false)}) {
    auto config = std::make_shared<SolverConfig>();
    config->solver.mutable_dns01()->set_cname_strategy(strategy);
    config->solver.mutable_dns01()->mutable_rfc2136()->set_zone("example.test");
    CW_ASSERT_OK_AND_ASSIGN(const SelfCheckResult result,
                            runtime::RunSync(check.Check(Soon(), challenge, config)));
    EXPECT_EQ(result.found, found) << result.reason;
  }
  for (const dns::Query& query : resolver_.queries()) {
    EXPECT_NE(query.type, dns::RecordType::kSoa);
  }
}

TEST_F(Dns01SelfCheckTest, AStatusHoldsThirtyTwoFindingsAtMost) {
  Dns01SelfCheck check(checker_, Dns01CheckOptions{nameservers_, 53});
  v1::Challenge challenge;
  challenge.mutable_spec()->set_dns_name("www.example.test");
  challenge.mutable_spec()->set_key("value");
  std::vector<dns::Record> addresses;
  for (int i = 1; i <= 40; ++i) {
    const std::string ip = absl::StrCat("192.0.2.", i);
    addresses.push_back(dns::AddressRecord("ns1.example.test", ip));
    resolver_.Set(ip, kName, dns::RecordType::kTxt, dns::NxDomain("example.test"));
  }
  resolver_.Set("", "ns1.example.test", dns::RecordType::kA, dns::Answering(addresses));
  CW_ASSERT_OK_AND_ASSIGN(
      const SelfCheckResult result,
      runtime::RunSync(check.Check(Soon(), challenge, std::make_shared<SolverConfig>())));
  EXPECT_FALSE(result.found);
  EXPECT_EQ(result.findings.size(), 32u);
}

TEST(ToProtoTest, ADetailIsCutTo300Bytes) {
  dns::Finding finding = MakeFinding("ns1.example.test", dns::Outcome::kUnreachable);
  finding.detail = std::string(299, 'x');
  EXPECT_EQ(ToProto(finding).detail(), finding.detail);
  finding.detail = std::string(300, 'x') + "y";
  EXPECT_EQ(ToProto(finding).detail(), std::string(300, 'x'));
  finding.outcome = dns::Outcome::kServerFailure;
  dns::PropagationReport report;
  report.findings = {finding};
  EXPECT_THAT(DescribePropagation(report), testing::Not(HasSubstr("y")));
}

class RecordLocationTest : public Dns01SelfCheckTest {
 protected:
  absl::StatusOr<RecordLocation> Locate(const issuer::v1::AcmeSolver& solver) {
    RecordLocator locator(resolver_, checker_, 53);
    return runtime::RunSync(locator.Locate(Soon(), "www.example.test", solver, {"192.0.2.53"}));
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
  resolver_.Set("192.0.2.53", kName, dns::RecordType::kCname, alias);
  resolver_.Set("192.0.2.53", "x.dyn.test", dns::RecordType::kCname, dns::NxDomain("dyn.test"));
  issuer::v1::AcmeSolver solver;
  solver.mutable_dns01()->add_alias_zones("dyn.test");
  CW_ASSERT_OK_AND_ASSIGN(RecordLocation location, Locate(solver));
  EXPECT_EQ(location.name, "x.dyn.test");
  EXPECT_EQ(location.zone, "dyn.test");
  issuer::v1::AcmeSolver none;
  none.mutable_dns01()->set_cname_strategy(issuer::v1::CNAME_STRATEGY_NONE);
  resolver_.Set("192.0.2.53", "www.example.test", dns::RecordType::kSoa,
                dns::NoData("example.test"));
  resolver_.Set("192.0.2.1", kName, dns::RecordType::kSoa,
                dns::Answering({dns::CnameRecord(kName, "x.dyn.test")}));
  const std::size_t before = resolver_.queries().size();
  CW_ASSERT_OK_AND_ASSIGN(location, Locate(none));
  EXPECT_EQ(location.name, kName);
  EXPECT_EQ(location.zone, "example.test");
  // The resolver would remember the alias.
  const std::vector<dns::Query> queries = resolver_.queries();
  for (std::size_t i = before; i < queries.size(); ++i) {
    if (queries[i].name != kName) continue;
    EXPECT_THAT(queries[i].servers, ElementsAre("192.0.2.1:53"));
  }
}

TEST_F(RecordLocationTest, AnAliasLeadsOnlyIntoTheSolversZones) {
  dns::Message alias = dns::NxDomain("dyn.test");
  alias.answers.push_back(dns::CnameRecord(kName, "x.dyn.test"));
  resolver_.Set("192.0.2.53", kName, dns::RecordType::kCname, alias);
  resolver_.Set("192.0.2.53", "x.dyn.test", dns::RecordType::kCname, dns::NxDomain("dyn.test"));
  struct Case {
    std::vector<std::string> selector_zones;
    std::vector<std::string> alias_zones;
    std::string zone;
    bool allowed;
  };
  for (const Case& c : {Case{{}, {}, "", false},
                        {{"example.test"}, {}, "", false},
                        {{"example.test"}, {"yn.test", "y.dyn.test"}, "", false},
                        {{"example.test"}, {"."}, "", false},
                        {{"example.test", "dyn.test"}, {}, "", true},
                        {{"example.test"}, {"dyn.test"}, "", true},
                        {{}, {"test"}, "", true},
                        {{}, {"x.DYN.test."}, "", true},
                        {{}, {}, "dyn.test", true}}) {
    issuer::v1::AcmeSolver solver;
    solver.mutable_selector()->mutable_dns_zones()->Assign(c.selector_zones.begin(),
                                                           c.selector_zones.end());
    solver.mutable_dns01()->mutable_alias_zones()->Assign(c.alias_zones.begin(),
                                                          c.alias_zones.end());
    solver.mutable_dns01()->mutable_rfc2136()->set_zone(c.zone);
    if (c.allowed) {
      CW_EXPECT_OK(Locate(solver)) << solver.ShortDebugString();
    } else {
      EXPECT_THAT(Locate(solver),
                  StatusIs(absl::StatusCode::kFailedPrecondition,
                           AllOf(HasSubstr("alias of x.dyn.test"),
                                 HasSubstr("which is in none of the solver's zones"),
                                 HasSubstr("aliasZones"), HasSubstr("CNAME_STRATEGY_NONE"))))
          << solver.ShortDebugString();
    }
  }
}

// Fault 108.
TEST_F(RecordLocationTest, WithTheSolversZoneNoSoaIsAsked) {
  issuer::v1::AcmeSolver solver;
  solver.mutable_dns01()->mutable_rfc2136()->set_zone("example.test");
  for (const auto strategy :
       {issuer::v1::CNAME_STRATEGY_UNSPECIFIED, issuer::v1::CNAME_STRATEGY_FOLLOW,
        issuer::v1::CNAME_STRATEGY_NONE}) {
    solver.mutable_dns01()->set_cname_strategy(strategy);
    const std::size_t before = resolver_.queries().size();
    CW_ASSERT_OK_AND_ASSIGN(const RecordLocation location, Locate(solver));
    EXPECT_EQ(location.zone, "example.test");
    const bool asks = strategy != issuer::v1::CNAME_STRATEGY_NONE;
    EXPECT_EQ(resolver_.queries().size() - before, asks ? 1u : 0u);
  }
  for (const dns::Query& query : resolver_.queries()) {
    EXPECT_EQ(query.type, dns::RecordType::kCname);
  }
}

// Fault 108.
TEST_F(RecordLocationTest, AnAliasOutOfTheSolversZoneIsNamed) {
  resolver_.Set("192.0.2.53", kName, dns::RecordType::kCname,
                dns::Answering({dns::CnameRecord(kName, "x.dyn.test")}));
  issuer::v1::AcmeSolver solver;
  solver.mutable_dns01()->add_alias_zones("dyn.test");
  resolver_.Set("192.0.2.53", "x.dyn.test", dns::RecordType::kCname,
                dns::Failing(dns::Rcode::kServFail));
  EXPECT_THAT(Locate(solver),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is an alias of x.dyn.test")));
  resolver_.Set("192.0.2.53", "x.dyn.test", dns::RecordType::kCname, dns::NxDomain("dyn.test"));
  solver.mutable_dns01()->mutable_rfc2136()->set_zone("example.test");
  EXPECT_THAT(Locate(solver),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("alias of x.dyn.test"), HasSubstr("CNAME_STRATEGY_NONE"),
                             HasSubstr("is not in the zone example.test"))));
}

TEST_F(RecordLocationTest, TakesTheSolversZone) {
  issuer::v1::AcmeSolver solver;
  solver.mutable_dns01()->mutable_rfc2136()->set_zone("WWW.example.test.");
  CW_ASSERT_OK_AND_ASSIGN(const RecordLocation location, Locate(solver));
  EXPECT_EQ(location.zone, "www.example.test");
  solver.mutable_dns01()->mutable_rfc2136()->set_zone("other.test");
  EXPECT_THAT(Locate(solver), StatusIs(absl::StatusCode::kFailedPrecondition,
                                       HasSubstr("is not in the zone other.test")));
}

}  // namespace
}  // namespace certwright::solver
