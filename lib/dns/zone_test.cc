#include "lib/dns/zone.h"

#include "absl/strings/str_cat.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/resolver_fake.h"
#include "lib/runtime/run_sync.h"

namespace certwright::dns {
namespace {

using base::StatusIs;
using runtime::RunSync;
using testing::HasSubstr;

constexpr auto kSoa = RecordType::kSoa;
constexpr auto kTxt = RecordType::kTxt;
constexpr char kServer[] = "192.0.2.53:53";

class ZoneTest : public testing::Test {
 protected:
  absl::StatusOr<Zone> Find(const std::string& name) {
    return RunSync(FindZone(Context(), resolver_, name, {kServer}));
  }
  absl::StatusOr<CnameTarget> Follow(const std::string& name, int max_hops = kMaxCnameHops) {
    return RunSync(FollowCnames(Context(), resolver_, name, kTxt, {kServer}, max_hops));
  }
  runtime::Context Context() {
    return runtime::Context::WithTimeout(clock_, absl::Seconds(10));
  }
  void Script(const std::string& name, RecordType type, Message message) {
    resolver_.Set(kServer, name, type, std::move(message));
  }

  base::FakeClock clock_;
  FakeDnsResolver resolver_;
};

TEST_F(ZoneTest, TakesTheSoaAtTheNameItself) {
  Script("example.test", kSoa, Answering({SoaRecord("example.test")}));
  CW_ASSERT_OK_AND_ASSIGN(const Zone zone, Find("Example.TEST."));
  EXPECT_EQ(zone.name, "example.test");
  EXPECT_EQ(zone.soa.primary, "ns1.example.test");
  EXPECT_EQ(zone.ttl, 60u);
}

// Fault 67.
TEST_F(ZoneTest, TakesTheSoaOfANegativeAnswerWithoutClimbing) {
  Script("_acme-challenge.a.b.example.test", kSoa, NxDomain("example.test"));
  Script("host.example.test", kSoa, NoData("example.test"));
  CW_ASSERT_OK_AND_ASSIGN(const Zone deep, Find("_acme-challenge.a.b.example.test"));
  EXPECT_EQ(deep.name, "example.test");
  CW_ASSERT_OK_AND_ASSIGN(const Zone host, Find("host.example.test"));
  EXPECT_EQ(host.name, "example.test");
  EXPECT_EQ(resolver_.queries().size(), 2u);
}

// Fault 67.
TEST_F(ZoneTest, FindsADelegatedChallengeName) {
  Script("_acme-challenge.example.test", kSoa,
         Answering({SoaRecord("_acme-challenge.example.test")}));
  CW_ASSERT_OK_AND_ASSIGN(const Zone zone, Find("_acme-challenge.example.test"));
  EXPECT_EQ(zone.name, "_acme-challenge.example.test");
}

TEST_F(ZoneTest, ClimbsWhenTheNegativeAnswerHasNoSoa) {
  Message bare;
  bare.rcode = Rcode::kNxDomain;
  Script("a.b.test", kSoa, bare);
  Script("b.test", kSoa, Message());
  Script("test", kSoa, Answering({SoaRecord("test")}));
  CW_ASSERT_OK_AND_ASSIGN(const Zone zone, Find("a.b.test"));
  EXPECT_EQ(zone.name, "test");
}

// Fault 67.
TEST_F(ZoneTest, ClimbsFromAnAliasInsteadOfTakingItsTargetsZone) {
  Message alias = Answering(
      {CnameRecord("www.example.test", "cdn.example.net"), SoaRecord("cdn.example.net")});
  alias.authority.push_back(SoaRecord("example.net"));
  Script("www.example.test", kSoa, alias);
  Script("example.test", kSoa, Answering({SoaRecord("example.test")}));
  CW_ASSERT_OK_AND_ASSIGN(const Zone zone, Find("www.example.test"));
  EXPECT_EQ(zone.name, "example.test");
}

TEST_F(ZoneTest, IgnoresAnSoaOfAnUnrelatedZone) {
  Script("a.test", kSoa, NxDomain("evil.example"));
  Script("test", kSoa, Answering({SoaRecord("test")}));
  CW_ASSERT_OK_AND_ASSIGN(const Zone zone, Find("a.test"));
  EXPECT_EQ(zone.name, "test");
}

TEST_F(ZoneTest, NamesTheServerThatFails) {
  Script("a.test", kSoa, Failing(Rcode::kServFail));
  EXPECT_THAT(Find("a.test"), StatusIs(absl::StatusCode::kUnavailable,
                                       HasSubstr("192.0.2.53:53 answered SERVFAIL")));
  Script("a.test", kSoa, Failing(Rcode::kRefused));
  EXPECT_THAT(Find("a.test"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("REFUSED")));
}

// Fault 108.
TEST_F(ZoneTest, AServerThatFailsForSoaAloneTellsTheZoneAllTheSame) {
  for (const Rcode rcode : {Rcode::kServFail, Rcode::kRefused, Rcode::kNotImp}) {
    for (const char* name :
         {"_acme-challenge.www.example.test", "www.example.test", "example.test", "test"}) {
      Script(name, kSoa, Failing(rcode));
    }
    Script("_acme-challenge.www.example.test", RecordType::kCname, NxDomain("example.test"));
    // An alias tells nothing of the zone that it is in.
    Script("www.example.test", RecordType::kCname,
           Answering({CnameRecord("www.example.test", "cdn.example.net")}));
    Script("example.test", RecordType::kCname, NoData("example.test"));
    for (const char* name : {"_acme-challenge.www.example.test", "www.example.test"}) {
      CW_ASSERT_OK_AND_ASSIGN(const Zone zone, Find(name));
      EXPECT_EQ(zone.name, "example.test");
    }
  }
}

TEST_F(ZoneTest, AnErrorBehindAnAliasNamesTheAlias) {
  Script("a.test", kTxt, Answering({CnameRecord("a.test", "b.other")}));
  Script("b.other", kTxt, Failing(Rcode::kRefused));
  EXPECT_THAT(Follow("a.test"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("a.test is an alias of b.other: ")));
}

TEST_F(ZoneTest, SaysNotFoundWhenEvenTheRootIsUnknown) {
  Script("test", kSoa, Message());
  Script("", kSoa, Message());
  EXPECT_THAT(Find("test"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("192.0.2.53:53")));
}

TEST_F(ZoneTest, KeepsTheErrorsOfTheResolver) {
  resolver_.SetError(kServer, "a.test", kSoa, absl::UnavailableError("silent"));
  EXPECT_THAT(Find("a.test"), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("silent")));
  EXPECT_THAT(Find("a b"), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ZoneTest, FollowsNothingWhenThereIsNoAlias) {
  Script("a.test", kTxt, NxDomain("test"));
  CW_ASSERT_OK_AND_ASSIGN(const CnameTarget target, Follow("A.test"));
  EXPECT_EQ(target.name, "a.test");
  EXPECT_EQ(target.hops, 0);
  EXPECT_EQ(target.answer.server, kServer);
}

TEST_F(ZoneTest, FollowsTheChainOfOneAnswerWithoutAskingAgain) {
  Script("a.test", kTxt,
         Answering({CnameRecord("b.test", "c.test"), CnameRecord("a.test", "b.test"),
                    TxtRecord("c.test", "x")}));
  CW_ASSERT_OK_AND_ASSIGN(const CnameTarget target, Follow("a.test"));
  EXPECT_EQ(target.name, "c.test");
  EXPECT_EQ(target.hops, 2);
  EXPECT_EQ(resolver_.queries().size(), 1u);
}

TEST_F(ZoneTest, AsksAgainWhenTheServerDoesNotFollow) {
  Script("a.test", kTxt, Answering({CnameRecord("a.test", "b.other")}));
  Script("b.other", kTxt, Answering({TxtRecord("b.other", "x")}));
  CW_ASSERT_OK_AND_ASSIGN(const CnameTarget target, Follow("a.test"));
  EXPECT_EQ(target.name, "b.other");
  EXPECT_EQ(FindRecord(target.answer.message.answers, "b.other", kTxt) != nullptr, true);
}

// Fault 68.
TEST_F(ZoneTest, AcceptsATargetThatDoesNotExistYet) {
  Message dangling = Answering({CnameRecord("a.test", "b.test")});
  dangling.rcode = Rcode::kNxDomain;
  Script("a.test", kTxt, dangling);
  CW_ASSERT_OK_AND_ASSIGN(const CnameTarget target, Follow("a.test"));
  EXPECT_EQ(target.name, "b.test");
}

// Fault 68.
TEST_F(ZoneTest, RefusesALoopWithinAndAcrossAnswers) {
  Script("a.test", kTxt,
         Answering({CnameRecord("a.test", "b.test"), CnameRecord("b.test", "a.test")}));
  EXPECT_THAT(Follow("a.test"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("loop")));
  Script("c.test", kTxt, Answering({CnameRecord("c.test", "d.test")}));
  Script("d.test", kTxt, Answering({CnameRecord("d.test", "c.test")}));
  EXPECT_THAT(Follow("c.test"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("loop")));
}

// Fault 68.
TEST_F(ZoneTest, FollowsAsManyAliasesAsAllowedAndNoMore) {
  for (int i = 0; i < 20; ++i) {
    const std::string name = absl::StrCat("n", i, ".test");
    Script(name, kTxt, Answering({CnameRecord(name, absl::StrCat("n", i + 1, ".test"))}));
  }
  Script("n16.test", kTxt, Answering({TxtRecord("n16.test", "x")}));
  CW_ASSERT_OK_AND_ASSIGN(const CnameTarget target, Follow("n0.test"));
  EXPECT_EQ(target.hops, 16);
  EXPECT_THAT(Follow("n0.test", 15),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("more than 15 CNAME")));
}

}  // namespace
}  // namespace certwright::dns
