#include "lib/dns/propagation.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/resolver_fake.h"
#include "lib/runtime/run_sync.h"

namespace certwright::dns {
namespace {

using base::StatusIs;
using testing::HasSubstr;

constexpr auto kTxt = RecordType::kTxt;
constexpr auto kSoa = RecordType::kSoa;
constexpr auto kCname = RecordType::kCname;
constexpr auto kNs = RecordType::kNs;
constexpr char kName[] = "_acme-challenge.example.test";
constexpr char kRecursive[] = "192.0.2.53";
constexpr char kNs1[] = "198.51.100.1";
constexpr char kNs2[] = "198.51.100.2";
constexpr char kNs2V6[] = "2001:db8::2";

// Fault 70.
TEST(EvaluateTest, FollowsTheRule) {
  const struct {
    std::vector<Outcome> outcomes;
    bool propagated;
  } kCases[] = {
      {{}, false},
      {{Outcome::kPresent}, true},
      {{Outcome::kPresent, Outcome::kPresent}, true},
      {{Outcome::kPresent, Outcome::kAbsent}, false},
      {{Outcome::kAbsent}, false},
      {{Outcome::kPresent, Outcome::kServerFailure}, false},
      {{Outcome::kPresent, Outcome::kUnreachable}, true},
      {{Outcome::kPresent, Outcome::kNoRoute}, true},
      {{Outcome::kPresent, Outcome::kNotAuthoritative}, true},
      {{Outcome::kPresent, Outcome::kRefused}, true},
      {{Outcome::kNotAuthoritative}, false},
      {{Outcome::kRefused, Outcome::kNotAuthoritative}, false},
      {{Outcome::kUnreachable, Outcome::kNoRoute}, false},
      {{Outcome::kForbidden}, false},
      {{Outcome::kForbidden, Outcome::kPresent}, true},
      {{Outcome::kForbidden, Outcome::kAbsent}, false},
      {{Outcome::kUnreachable, Outcome::kAbsent}, false},
  };
  for (const auto& test : kCases) {
    std::vector<Finding> findings;
    std::string shown;
    for (const Outcome outcome : test.outcomes) {
      findings.emplace_back().outcome = outcome;
      shown += std::string(OutcomeName(outcome)) + " ";
    }
    EXPECT_EQ(Evaluate(findings), test.propagated) << shown;
  }
}

class PropagationCheckerTest : public testing::Test {
 protected:
  PropagationCheckerTest()
      : checker_(resolver_, clock_,
                 ServerPolicy(*http::AddressRanges::Parse({"198.51.100.0/24", "2001:db8::/32"}),
                              {})) {
    // example.test with two nameservers, the second of which has two addresses.
    resolver_.Set(kRecursive, kName, kCname, NxDomain("example.test"));
    resolver_.Set(kRecursive, "example.test", kSoa, Answering({SoaRecord("example.test")}));
    resolver_.Set(kRecursive, "example.test", kNs,
                  Answering({NsRecord("example.test", "ns1.example.test"),
                             NsRecord("example.test", "ns2.other.test")}));
    resolver_.Set(kRecursive, "ns1.example.test", RecordType::kA,
                  Answering({AddressRecord("ns1.example.test", kNs1)}));
    resolver_.Set(kRecursive, "ns1.example.test", RecordType::kAaaa, NoData("example.test"));
    resolver_.Set(kRecursive, "ns2.other.test", RecordType::kA,
                  Answering({AddressRecord("ns2.other.test", kNs2)}));
    resolver_.Set(kRecursive, "ns2.other.test", RecordType::kAaaa,
                  Answering({AddressRecord("ns2.other.test", kNs2V6)}));
    for (const char* server : {kNs1, kNs2, kNs2V6}) SetValues(server, {"value"});
    request_.name = kName;
    request_.expected_value = "value";
    request_.recursive_nameservers = {kRecursive};
  }

  void SetValues(const std::string& server, const std::vector<std::string>& values,
                 const std::string& name = kName) {
    std::vector<Record> records;
    for (const std::string& value : values) records.push_back(TxtRecord(name, value));
    resolver_.Set(server, name, kTxt, Answering(records));
  }

  absl::StatusOr<PropagationReport> Check() {
    return runtime::RunSync(
        checker_.Check(runtime::Context::WithTimeout(clock_, absl::Seconds(10)), request_));
  }

  // Outcomes by address, of a check that must succeed.
  std::map<std::string, Outcome> Outcomes() {
    absl::StatusOr<PropagationReport> report = Check();
    CW_EXPECT_OK(report);
    std::map<std::string, Outcome> outcomes;
    if (!report.ok()) return outcomes;
    for (const Finding& finding : report->findings) outcomes[finding.address] = finding.outcome;
    report_ = *std::move(report);
    return outcomes;
  }

  base::FakeClock clock_;
  FakeDnsResolver resolver_;
  PropagationChecker checker_;
  PropagationRequest request_;
  PropagationReport report_;
};

TEST_F(PropagationCheckerTest, AsksEveryAddressOfEveryNameserverWithoutRecursion) {
  CW_ASSERT_OK_AND_ASSIGN(const PropagationReport report, Check());
  EXPECT_TRUE(report.propagated);
  EXPECT_EQ(report.zone, "example.test");
  EXPECT_EQ(report.resolved_name, kName);
  ASSERT_EQ(report.findings.size(), 3u);
  EXPECT_EQ(report.findings[0].nameserver, "ns1.example.test");
  EXPECT_EQ(report.findings[0].address, "198.51.100.1:53");
  EXPECT_EQ(report.findings[2].nameserver, "ns2.other.test");
  EXPECT_EQ(report.findings[2].address, "[2001:db8::2]:53");
  int direct = 0;
  for (const Query& query : resolver_.queries()) {
    const bool is_direct = query.servers != std::vector<std::string>{kRecursive};
    EXPECT_EQ(query.recursion_desired, !is_direct);
    direct += is_direct ? 1 : 0;
  }
  EXPECT_EQ(direct, 3);
}

TEST_F(PropagationCheckerTest, AsksNoNameserverThatThePolicyForbids) {
  resolver_.Set(kRecursive, "ns2.other.test", RecordType::kA,
                Answering({AddressRecord("ns2.other.test", "10.0.0.2"),
                           AddressRecord("ns2.other.test", "127.0.0.1")}));
  std::map<std::string, Outcome> expected = {{"198.51.100.1:53", Outcome::kPresent},
                                             {"[2001:db8::2]:53", Outcome::kPresent},
                                             {"10.0.0.2:53", Outcome::kForbidden},
                                             {"127.0.0.1:53", Outcome::kForbidden}};
  EXPECT_EQ(Outcomes(), expected);
  EXPECT_TRUE(report_.propagated);
  for (const Query& query : resolver_.queries()) {
    for (const std::string& server : query.servers) {
      EXPECT_NE(server, "10.0.0.2:53");
      EXPECT_NE(server, "127.0.0.1:53");
    }
  }
  for (const Finding& finding : report_.findings) {
    if (finding.outcome != Outcome::kForbidden) continue;
    EXPECT_EQ(finding.nameserver, "ns2.other.test");
    EXPECT_THAT(finding.detail, HasSubstr("dnsAllowedRanges"));
  }
}

// Faults 69 and 76.
TEST_F(PropagationCheckerTest, WaitsForTheSecondaryThatLags) {
  SetValues(kNs2, {"other", "valu", "VALUE", "value "});
  resolver_.Set(kNs2V6, kName, kTxt, NxDomain("example.test"));
  const auto outcomes = Outcomes();
  EXPECT_EQ(outcomes.at("198.51.100.1:53"), Outcome::kPresent);
  EXPECT_EQ(outcomes.at("198.51.100.2:53"), Outcome::kAbsent);
  EXPECT_EQ(outcomes.at("[2001:db8::2]:53"), Outcome::kAbsent);
  EXPECT_FALSE(report_.propagated);
  EXPECT_THAT(report_.Summary(), HasSubstr("1 of 3"));
  EXPECT_THAT(report_.Summary(),
              HasSubstr("ns2.other.test 198.51.100.2:53: ABSENT (has 4 TXT"));
  EXPECT_THAT(report_.Summary(), HasSubstr("NXDOMAIN"));
}

// Fault 72.
TEST_F(PropagationCheckerTest, FindsTheValueAmongOthers) {
  for (const char* server : {kNs1, kNs2, kNs2V6}) SetValues(server, {"a", "value", "b"});
  Outcomes();
  EXPECT_TRUE(report_.propagated);
}

// Fault 70.
TEST_F(PropagationCheckerTest, ReportsEveryKindOfTrouble) {
  Message lame = Answering({TxtRecord(kName, "value")});
  lame.authoritative = false;
  resolver_.Set(kNs1, kName, kTxt, lame);
  resolver_.SetError(kNs2, kName, kTxt, absl::UnavailableError("did not answer in time"));
  resolver_.SetError(kNs2V6, kName, kTxt, NoRouteError("[2001:db8::2]:53"));
  auto outcomes = Outcomes();
  EXPECT_EQ(outcomes.at("198.51.100.1:53"), Outcome::kNotAuthoritative);
  EXPECT_EQ(outcomes.at("198.51.100.2:53"), Outcome::kUnreachable);
  EXPECT_EQ(outcomes.at("[2001:db8::2]:53"), Outcome::kNoRoute);
  EXPECT_FALSE(report_.propagated);
  EXPECT_THAT(report_.Summary(), HasSubstr("did not answer in time"));

  resolver_.Set(kNs1, kName, kTxt, Failing(Rcode::kRefused));
  resolver_.Set(kNs2, kName, kTxt, Failing(Rcode::kServFail));
  outcomes = Outcomes();
  EXPECT_EQ(outcomes.at("198.51.100.1:53"), Outcome::kRefused);
  EXPECT_EQ(outcomes.at("198.51.100.2:53"), Outcome::kServerFailure);
  EXPECT_EQ(report_.findings[1].rcode, Rcode::kServFail);
}

// Resolvers go on to another server after the one, and give up after the other.
TEST_F(PropagationCheckerTest, ARefusalDoesNotCountAndAFailureBlocks) {
  const std::pair<Rcode, Outcome> kCases[] = {{Rcode::kRefused, Outcome::kRefused},
                                              {Rcode::kNotAuth, Outcome::kRefused},
                                              {Rcode::kServFail, Outcome::kServerFailure},
                                              {Rcode::kFormErr, Outcome::kServerFailure},
                                              {Rcode::kNotImp, Outcome::kServerFailure}};
  for (const auto& [rcode, outcome] : kCases) {
    resolver_.Set(kNs1, kName, kTxt, Failing(rcode));
    EXPECT_EQ(Outcomes().at("198.51.100.1:53"), outcome) << RcodeName(rcode);
    EXPECT_EQ(report_.propagated, outcome == Outcome::kRefused) << RcodeName(rcode);
  }
}

TEST_F(PropagationCheckerTest, AHostWithoutIpv6IsNotHeldUp) {
  resolver_.SetError(kNs2V6, kName, kTxt, NoRouteError("[2001:db8::2]:53"));
  Outcomes();
  EXPECT_TRUE(report_.propagated);
}

TEST_F(PropagationCheckerTest, FollowsAnAliasIntoAnotherZone) {
  resolver_.Set(kRecursive, kName, kCname, Answering({CnameRecord(kName, "x.delegated.net")}));
  Message negative = NxDomain("delegated.net");
  resolver_.Set(kRecursive, "x.delegated.net", kCname, negative);
  resolver_.Set(kRecursive, "delegated.net", kNs,
                Answering({NsRecord("delegated.net", "ns2.other.test")}));
  SetValues(kNs2, {"value"}, "x.delegated.net");
  SetValues(kNs2V6, {"value"}, "x.delegated.net");
  Outcomes();
  EXPECT_TRUE(report_.propagated);
  EXPECT_EQ(report_.resolved_name, "x.delegated.net");
  EXPECT_EQ(report_.zone, "delegated.net");
}

TEST_F(PropagationCheckerTest, ReportsANameserverWithoutAnAddress) {
  resolver_.Set(kRecursive, "ns1.example.test", RecordType::kA, NxDomain("example.test"));
  Outcomes();
  EXPECT_TRUE(report_.propagated);
  EXPECT_EQ(report_.findings[0].nameserver, "ns1.example.test");
  EXPECT_EQ(report_.findings[0].outcome, Outcome::kUnreachable);
  EXPECT_THAT(report_.findings[0].detail, HasSubstr("no address"));
}

TEST_F(PropagationCheckerTest, UsesTheGivenPortAndServers) {
  request_.authoritative_port = 5353;
  SetValues("198.51.100.1:5353", {"value"});
  SetValues("198.51.100.2:5353", {"value"});
  SetValues("[2001:db8::2]:5353", {"value"});
  EXPECT_EQ(Outcomes().count("198.51.100.1:5353"), 1u);

  request_.authoritative_servers = {"203.0.113.9:1053"};
  request_.recursive_nameservers.clear();
  SetValues("203.0.113.9:1053", {"value"});
  const auto outcomes = Outcomes();
  EXPECT_EQ(outcomes.size(), 1u);
  EXPECT_EQ(outcomes.at("203.0.113.9:1053"), Outcome::kPresent);
  EXPECT_TRUE(report_.propagated);
}

TEST_F(PropagationCheckerTest, AsksRecursiveNameserversInTheirMode) {
  request_.mode = PropagationMode::kRecursive;
  request_.recursive_nameservers = {kRecursive, "192.0.2.54"};
  Message from_cache = Answering({CnameRecord(kName, "x.net"), TxtRecord("x.net", "value")});
  from_cache.authoritative = false;
  resolver_.Set(kRecursive, kName, kTxt, from_cache);
  resolver_.Set("192.0.2.54", kName, kTxt, NxDomain("example.test"));
  const auto outcomes = Outcomes();
  EXPECT_EQ(outcomes.at("192.0.2.53"), Outcome::kPresent);
  EXPECT_EQ(outcomes.at("192.0.2.54"), Outcome::kAbsent);
  EXPECT_FALSE(report_.propagated);
  EXPECT_EQ(report_.resolved_name, "x.net");
  EXPECT_TRUE(report_.findings[0].recursive);
}

// Fault 71.
TEST_F(PropagationCheckerTest, InModeBothTheResolverIsNotAskedForTheNameTooEarly) {
  request_.mode = PropagationMode::kBoth;
  SetValues(kNs1, {});
  SetValues(kRecursive, {"value"});
  Outcomes();
  EXPECT_FALSE(report_.propagated);
  for (const Query& query : resolver_.queries()) {
    EXPECT_FALSE(query.name == kName && query.servers[0] == kRecursive) << TypeName(query.type);
  }
  SetValues(kNs1, {"value"});
  Outcomes();
  EXPECT_TRUE(report_.propagated);
  EXPECT_EQ(report_.findings.size(), 4u);
  SetValues(kRecursive, {"old"});
  Outcomes();
  EXPECT_FALSE(report_.propagated);
}

TEST_F(PropagationCheckerTest, InModeBothAnAliasIsFoundWhenTheServersShowIt) {
  request_.mode = PropagationMode::kBoth;
  for (const char* server : {kNs1, kNs2, kNs2V6}) {
    resolver_.Set(server, kName, kTxt, Answering({CnameRecord(kName, "x.delegated.net")}));
    SetValues(server, {"value"}, "x.delegated.net");
  }
  resolver_.Set(kRecursive, kName, kCname, Answering({CnameRecord(kName, "x.delegated.net")}));
  resolver_.Set(kRecursive, "x.delegated.net", kCname, NxDomain("delegated.net"));
  resolver_.Set(kRecursive, "delegated.net", kNs,
                Answering({NsRecord("delegated.net", "ns1.example.test")}));
  SetValues(kRecursive, {"value"});
  Outcomes();
  EXPECT_TRUE(report_.propagated);
  EXPECT_EQ(report_.resolved_name, "x.delegated.net");
}

TEST_F(PropagationCheckerTest, RemembersZoneAndNameserversForABoundedTime) {
  Outcomes();
  const std::size_t first = resolver_.queries().size();
  Outcomes();
  EXPECT_EQ(resolver_.queries().size() - first, 3u);
  // Another name of the zone costs one question more.
  request_.name = "_acme-challenge.b.example.test";
  resolver_.Set(kRecursive, request_.name, kCname, NxDomain("example.test"));
  for (const char* server : {kNs1, kNs2, kNs2V6}) SetValues(server, {"value"}, request_.name);
  const std::size_t second = resolver_.queries().size();
  Outcomes();
  EXPECT_EQ(resolver_.queries().size() - second, 4u);
  clock_.Advance(absl::Seconds(31));
  const std::size_t third = resolver_.queries().size();
  Outcomes();
  EXPECT_EQ(resolver_.queries().size() - third, first);
}

TEST_F(PropagationCheckerTest, LooksAgainAfterALameOrAliasingAnswer) {
  Outcomes();
  resolver_.Set(kNs1, kName, kTxt, Failing(Rcode::kRefused));
  Outcomes();
  // The zone has moved meanwhile.
  resolver_.Set(kRecursive, "example.test", kNs,
                Answering({NsRecord("example.test", "ns2.other.test")}));
  EXPECT_EQ(Outcomes().size(), 2u);
}

// What a zone's nameservers say of a name that aliases are not followed from.
class WithoutAliasesTest : public PropagationCheckerTest {
 protected:
  WithoutAliasesTest() {
    request_.follow_aliases = false;
    for (const char* server : {kNs1, kNs2, kNs2V6}) {
      resolver_.Set(server, kName, kSoa, NxDomain("example.test"));
    }
  }
  std::string ZoneFromAbove() {
    return runtime::RunSync(
               checker_.FindZoneFromAbove(
                   runtime::Context::WithTimeout(clock_, absl::Minutes(1)), request_))
        .value_or("(none)");
  }
  // Whether the resolver was asked for the name.
  bool ResolverWasAsked() {
    for (const Query& query : resolver_.queries()) {
      if (query.name == kName && query.servers[0] == kRecursive) return true;
    }
    return false;
  }
};

// Fault 108.
TEST_F(WithoutAliasesTest, AnAliasIsNeitherFollowedNorLearntByTheResolver) {
  const Message alias =
      Answering({CnameRecord(kName, "lb.other.net"), TxtRecord("lb.other.net", "value")});
  for (const char* server : {kNs1, kNs2, kNs2V6}) {
    resolver_.Set(server, kName, kSoa, Answering({CnameRecord(kName, "lb.other.net")}));
    resolver_.Set(server, kName, kTxt, alias);
  }
  EXPECT_EQ(ZoneFromAbove(), "example.test");
  EXPECT_EQ(Outcomes().at("198.51.100.1:53"), Outcome::kAbsent);
  EXPECT_FALSE(report_.propagated);
  EXPECT_THAT(report_.findings[0].detail, HasSubstr("an alias"));
  for (const char* server : {kNs1, kNs2, kNs2V6}) SetValues(server, {"value"});
  Outcomes();
  EXPECT_TRUE(report_.propagated);
  EXPECT_EQ(report_.resolved_name, kName);
  EXPECT_EQ(report_.zone, "example.test");
  EXPECT_FALSE(ResolverWasAsked());
}

// Fault 108.
TEST_F(WithoutAliasesTest, InModeBothTheResolverIsAskedWhenTheServersHaveTheValue) {
  request_.mode = PropagationMode::kBoth;
  SetValues(kNs2, {});
  Outcomes();
  EXPECT_FALSE(ResolverWasAsked());
  SetValues(kNs2, {"value"});
  resolver_.Set(kRecursive, kName, kTxt,
                Answering({CnameRecord(kName, "x.net"), TxtRecord("x.net", "value")}));
  EXPECT_EQ(Outcomes().at("192.0.2.53"), Outcome::kAbsent);
  EXPECT_FALSE(report_.propagated);
  SetValues(kRecursive, {"value"});
  Outcomes();
  EXPECT_TRUE(report_.propagated);
}

// Fault 67.
TEST_F(WithoutAliasesTest, ADelegatedNameIsFoundFromAbove) {
  Message referral;
  referral.response = true;
  referral.authority = {NsRecord(kName, "ns2.other.test")};
  Message parents = NoData("example.test");
  Message own = Answering({SoaRecord(kName)});
  Message child_of_same_server = NoData(kName);
  struct Case {
    Message answer;
    std::string zone;
  };
  for (const Case& c : {Case{referral, kName},
                        {own, kName},
                        {child_of_same_server, kName},
                        {parents, "example.test"},
                        // What is above or beside is no zone below.
                        {NoData("test"), "example.test"},
                        {NoData("other.test"), "example.test"},
                        {Failing(Rcode::kServFail), "example.test"}}) {
    for (const char* server : {kNs1, kNs2, kNs2V6}) {
      resolver_.Set(server, kName, kSoa, c.answer);
    }
    resolver_.Set(kRecursive, kName, kNs, Answering({NsRecord(kName, "ns2.other.test")}));
    for (const char* server : {kNs2, kNs2V6}) {
      if (c.zone == kName) resolver_.Set(server, kName, kSoa, own);
    }
    EXPECT_EQ(ZoneFromAbove(), c.zone);
  }
}

TEST_F(WithoutAliasesTest, TheNextNameserverIsAskedWhereOneIsSilentOrLame) {
  resolver_.SetError(kNs1, kName, kSoa, absl::UnavailableError("silent"));
  resolver_.Set(kNs2, kName, kSoa, Failing(Rcode::kRefused));
  resolver_.Set(kNs2V6, kName, kSoa, Answering({SoaRecord(kName)}));
  resolver_.Set(kRecursive, kName, kNs, Answering({NsRecord(kName, "ns2.other.test")}));
  EXPECT_EQ(ZoneFromAbove(), kName);
}

// Whom a zone's records name as its nameservers is up to whoever has the zone.
TEST_F(WithoutAliasesTest, NobodyThatThePolicyForbidsIsAskedForTheZone) {
  std::vector<Record> addresses;
  for (const char* ip : {"127.0.0.1", "10.0.0.1"}) {
    addresses.push_back(AddressRecord("ns1.example.test", ip));
    resolver_.Set(ip, kName, kSoa, Answering({SoaRecord(kName)}));
  }
  resolver_.Set(kRecursive, "ns1.example.test", RecordType::kA, Answering(addresses));
  EXPECT_EQ(ZoneFromAbove(), "example.test");
  for (const Query& query : resolver_.queries()) {
    EXPECT_THAT(query.servers, testing::Each(testing::AnyOf(kRecursive, "198.51.100.2:53",
                                                            "[2001:db8::2]:53")));
  }
}

// Fault 108.
TEST_F(PropagationCheckerTest, WithAGivenZoneNoSoaIsAsked) {
  for (const bool follow_aliases : {true, false}) {
    for (const PropagationMode mode :
         {PropagationMode::kAuthoritative, PropagationMode::kBoth}) {
      request_.follow_aliases = follow_aliases;
      request_.mode = mode;
      request_.zone = "Example.test.";
      SetValues(kRecursive, {"value"});
      Outcomes();
      EXPECT_TRUE(report_.propagated);
      EXPECT_EQ(report_.zone, "example.test");
    }
  }
  for (const Query& query : resolver_.queries()) EXPECT_NE(query.type, kSoa) << query.name;
}

// Fault 108.
TEST_F(PropagationCheckerTest, AnAliasOutOfTheGivenZoneIsLookedUp) {
  request_.zone = "example.test";
  resolver_.Set(kRecursive, kName, kCname, Answering({CnameRecord(kName, "x.delegated.net")}));
  resolver_.Set(kRecursive, "x.delegated.net", kCname, NxDomain("delegated.net"));
  resolver_.Set(kRecursive, "delegated.net", kNs,
                Answering({NsRecord("delegated.net", "ns1.example.test")}));
  SetValues(kNs1, {"value"}, "x.delegated.net");
  Outcomes();
  EXPECT_TRUE(report_.propagated);
  EXPECT_EQ(report_.zone, "delegated.net");
}

TEST_F(PropagationCheckerTest, OnlyValuesAtTheNameItselfCount) {
  for (const char* server : {kNs1, kNs2, kNs2V6}) {
    resolver_.Set(server, kName, kTxt,
                  Answering({TxtRecord("other.example.test", "value"),
                             TxtRecord("example.test", "value")}));
  }
  EXPECT_EQ(Outcomes().at("198.51.100.1:53"), Outcome::kAbsent);
  EXPECT_FALSE(report_.propagated);
}

TEST_F(PropagationCheckerTest, OnlyTheZonesOwnNsRecordsNameItsNameservers) {
  resolver_.Set(kRecursive, "example.test", kNs,
                Answering({NsRecord("other.test", "ns2.other.test"),
                           NsRecord("sub.example.test", "ns2.other.test"),
                           NsRecord("example.test", "ns1.example.test")}));
  EXPECT_EQ(Outcomes().size(), 1u);
  EXPECT_EQ(report_.findings[0].nameserver, "ns1.example.test");
}

TEST_F(PropagationCheckerTest, AsksSixteenNameserversAndSixtyFourAddressesAtMost) {
  std::vector<Record> nameservers;
  const auto add = [&](int i, int addresses) {
    const std::string name = absl::StrCat("ns", i, ".many.test");
    nameservers.push_back(NsRecord("example.test", name));
    std::vector<Record> records;
    for (int j = 0; j < addresses; ++j) {
      const std::string ip = absl::StrCat("198.51.100.", i * 10 + j);
      records.push_back(AddressRecord(name, ip));
      SetValues(ip, {"value"});
    }
    resolver_.Set(kRecursive, name, RecordType::kA, Answering(records));
    resolver_.Set(kRecursive, name, RecordType::kAaaa, NoData("many.test"));
  };
  for (int i = 0; i < 20; ++i) add(i, 1);
  resolver_.Set(kRecursive, "example.test", kNs, Answering(nameservers));
  EXPECT_EQ(Outcomes().size(), 16u);
  clock_.Advance(absl::Minutes(1));
  nameservers.clear();
  for (int i = 0; i < 10; ++i) add(i, 10);
  resolver_.Set(kRecursive, "example.test", kNs, Answering(nameservers));
  EXPECT_EQ(Outcomes().size(), 64u);
}

TEST_F(PropagationCheckerTest, SaysWhenAZoneHasNoNameservers) {
  resolver_.Set(kRecursive, "example.test", kNs, NoData("example.test"));
  EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("192.0.2.53:53")));
  resolver_.Set(kRecursive, "example.test", kNs, Failing(Rcode::kServFail));
  EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(PropagationCheckerTest, EndsWithItsContext) {
  auto cancellation = std::make_shared<runtime::Cancellation>();
  cancellation->Cancel();
  const runtime::Context context(clock_, clock_.MonotonicNow() + absl::Seconds(1),
                                 cancellation);
  EXPECT_THAT(runtime::RunSync(checker_.Check(context, request_)),
              StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(PropagationCheckerTest, RefusesARequestThatMakesNoSense) {
  for (const int port : {-1, 0, 65536}) {
    request_.authoritative_port = port;
    EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kInvalidArgument)) << port;
  }
  request_.authoritative_port = 53;
  request_.recursive_nameservers = {"dns.example"};
  EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dns.example")));
}

}  // namespace
}  // namespace certwright::dns
