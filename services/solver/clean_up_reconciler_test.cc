#include "services/solver/clean_up_reconciler.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "services/solver/solver_world.h"

namespace certwright::solver {
namespace {

using base::IsOk;
using base::StatusIs;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

constexpr char kRecord[] = "_acme-challenge.www.example.test";

TEST(CleanUpReconcilerTest, RemovesTheValueAndTheRecordInOneCommit) {
  SolverWorld world;
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Settle("a"));
  const int before = world.commits();
  EXPECT_THAT(world.CleanUp(), ElementsAre(IsOk()));
  EXPECT_EQ(world.commits() - before, 1);
  EXPECT_THAT(world.providers.values, IsEmpty());
  EXPECT_THAT(world.Ledger(), IsEmpty());
  const v1::Challenge challenge = world.Get("a");
  EXPECT_FALSE(challenge.status().presented());
  EXPECT_TRUE(service::IsTrue(challenge.status().conditions(), "CleanedUp"));
  EXPECT_EQ(challenge.status().state(), v1::CHALLENGE_STATE_VALID);
}

TEST(CleanUpReconcilerTest, LeavesWhatIsStillNeeded) {
  SolverWorld world;
  world.dns01_check.sees = [](const v1::Challenge&) { return false; };
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  EXPECT_THAT(world.CleanUp(), ElementsAre(IsOk()));
  EXPECT_THAT(world.providers.values, SizeIs(1));
  EXPECT_THAT(world.Ledger(), SizeIs(1));
}

// Fault 46.
TEST(CleanUpReconcilerTest, LeavesTheOtherValueOfTheName) {
  SolverWorld world;
  world.dns01_check.sees = [](const v1::Challenge& challenge) {
    return challenge.metadata().name() == "a";
  };
  world.Create(world.Make("a"));
  world.Create(world.Make("b"));
  ASSERT_TRUE(world.Pass("b").has_value());
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_THAT(world.CleanUp(), ElementsAre(IsOk(), IsOk()));
  EXPECT_THAT(world.providers.values, ElementsAre(Pair(kRecord, "key-of-b")));
}

TEST(CleanUpReconcilerTest, FailuresAreTriedAgainAndKeepTheRecord) {
  SolverWorld world;
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Settle("a"));
  world.providers.clean_up_error = absl::UnavailableError("SERVFAIL");
  EXPECT_THAT(world.CleanUp(), ElementsAre(StatusIs(absl::StatusCode::kUnavailable)));
  EXPECT_THAT(world.Ledger(), SizeIs(1));
  EXPECT_TRUE(world.Get("a").status().presented());
  world.providers.clean_up_error = absl::OkStatus();
  EXPECT_THAT(world.CleanUp(), ElementsAre(IsOk()));
  EXPECT_THAT(world.Ledger(), IsEmpty());
}

// Fault 74.
TEST(CleanUpReconcilerTest, AfterACrashTheLedgerIsWorkedOffForChallengesThatAreGone) {
  SolverWorld world;
  world.dns01_check.sees = [](const v1::Challenge&) { return false; };
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  world.Delete("a");
  world.Restart();
  ASSERT_THAT(world.providers.values, SizeIs(1));
  EXPECT_THAT(world.CleanUp(), ElementsAre(IsOk()));
  EXPECT_THAT(world.providers.values, IsEmpty());
  EXPECT_THAT(world.Ledger(), IsEmpty());
}

// Fault 47.
TEST(CleanUpReconcilerTest, TheSameValueOfALaterChallengeStays) {
  SolverWorld world;
  world.dns01_check.sees = [](const v1::Challenge&) { return false; };
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  world.Delete("a");
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  ASSERT_THAT(world.Ledger(), SizeIs(2));
  world.CleanUp();
  EXPECT_THAT(world.Ledger(), SizeIs(1));
  EXPECT_THAT(world.providers.values, ElementsAre(Pair(kRecord, "key-of-a")));
}

// Fault 110.
TEST(CleanUpReconcilerTest, WhatIsOutIsRemovedThoughItsIssuerIsGone) {
  SolverWorld world;
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Settle("a"));
  world.configs.error = absl::NotFoundError("no issuer pebble");
  EXPECT_THAT(world.CleanUp(), ElementsAre(IsOk()));
  EXPECT_THAT(world.providers.values, IsEmpty());
  EXPECT_THAT(world.Ledger(), IsEmpty());
}

// Fault 110.
TEST(CleanUpReconcilerTest, TheConfigurationThatPutItOutGoesFirstAndThePresentOneNext) {
  SolverWorld world;
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Settle("a"));
  world.configs.solver.set_name("changed");
  std::vector<std::string> used;
  world.providers.on_clean_up = [&](const SolverConfig& config) {
    used.push_back(config.solver.name());
    return config.solver.name() == "changed" ? absl::OkStatus()
                                             : absl::FailedPreconditionError("BADKEY");
  };
  EXPECT_THAT(world.CleanUp(), ElementsAre(IsOk()));
  EXPECT_THAT(used, ElementsAre("dns", "changed"));
  // After a restart only the present one is known.
  world.Create(world.Make("b", "b.example.test"));
  ASSERT_TRUE(world.Settle("b"));
  world.Restart();
  used.clear();
  EXPECT_THAT(world.CleanUp(), ElementsAre(IsOk()));
  EXPECT_THAT(used, ElementsAre("changed"));
}

// A record that this process did not put out, whose issuer is gone.
class LeftBehindTest : public testing::Test {
 protected:
  LeftBehindTest() {
    world_.Create(world_.Make("a"));
    EXPECT_TRUE(world_.Settle("a"));
    world_.Restart();
    world_.configs.error = absl::NotFoundError("no issuer pebble");
    world_.resolver.Set("", "example.test", dns::RecordType::kNs,
                        dns::Answering({dns::NsRecord("example.test", "ns1.example.test"),
                                        dns::NsRecord("example.test", "ns2.example.test")}));
    for (const char* name : {"ns1.example.test", "ns2.example.test"}) {
      world_.resolver.Set("", name, dns::RecordType::kAaaa, dns::NoData("example.test"));
    }
    world_.resolver.Set("", "ns1.example.test", dns::RecordType::kA,
                        dns::Answering({dns::AddressRecord("ns1.example.test", kNs1)}));
    world_.resolver.Set("", "ns2.example.test", dns::RecordType::kA,
                        dns::Answering({dns::AddressRecord("ns2.example.test", kNs2)}));
    for (const char* server : {kNs1, kNs2}) Answer(server, dns::NxDomain("example.test"));
  }
  void Answer(const char* server, dns::Message message) {
    world_.resolver.Set(server, kRecord, dns::RecordType::kTxt, std::move(message));
  }
  static dns::Message Value(const char* value) {
    return dns::Answering({dns::TxtRecord(kRecord, value)});
  }

  static constexpr char kNs1[] = "93.184.216.1";
  static constexpr char kNs2[] = "93.184.216.2";
  SolverWorld world_;
};

// Fault 110.
TEST_F(LeftBehindTest, IsShownAsLongAsItIsThere) {
  EXPECT_THAT(world_.CleanUp(), ElementsAre(StatusIs(absl::StatusCode::kNotFound)));
  EXPECT_THAT(world_.Ledger(), SizeIs(1));
  ASSERT_THAT(world_.clean_ups, SizeIs(1));
  EXPECT_EQ(world_.clean_ups[0].first, kRecord);
  EXPECT_THAT(world_.clean_ups[0].second, StatusIs(absl::StatusCode::kNotFound));
  const v1::Challenge challenge = world_.Get("a");
  const auto* cleaned = service::FindCondition(challenge.status().conditions(), "CleanedUp");
  ASSERT_NE(cleaned, nullptr);
  EXPECT_EQ(cleaned->status(), meta::v1::CONDITION_STATUS_FALSE);
  EXPECT_EQ(cleaned->reason(), "CleanUpFailed");
  EXPECT_EQ(cleaned->message(), "no issuer pebble");
  // The issuer is back.
  world_.configs.error = absl::OkStatus();
  EXPECT_THAT(world_.CleanUp(), ElementsAre(IsOk()));
  EXPECT_THAT(world_.clean_ups.back().second, IsOk());
  EXPECT_TRUE(service::IsTrue(world_.Get("a").status().conditions(), "CleanedUp"));
  EXPECT_THAT(world_.providers.values, IsEmpty());
}

// Fault 110.
TEST_F(LeftBehindTest, IsForgottenAfterAnHourIfNoNameserverHasIt) {
  world_.clock.Advance(absl::Minutes(50));
  EXPECT_THAT(world_.CleanUp(), ElementsAre(StatusIs(absl::StatusCode::kNotFound)));
  world_.clock.Advance(absl::Minutes(10));
  EXPECT_THAT(world_.CleanUp(), ElementsAre(IsOk()));
  EXPECT_THAT(world_.Ledger(), IsEmpty());
}

// Fault 110.
TEST_F(LeftBehindTest, StaysWhileANameserverHasItOrDoesNotTell) {
  world_.clock.Advance(absl::Hours(2));
  const dns::Message others = Value("key-of-another");
  for (const dns::Message& message : {Value("key-of-a"), dns::Failing(dns::Rcode::kServFail)}) {
    Answer(kNs2, message);
    EXPECT_THAT(world_.CleanUp(), ElementsAre(StatusIs(absl::StatusCode::kNotFound)));
  }
  world_.resolver.SetError(kNs2, kRecord, dns::RecordType::kTxt,
                           absl::UnavailableError("silent"));
  EXPECT_THAT(world_.CleanUp(), ElementsAre(StatusIs(absl::StatusCode::kNotFound)));
  for (const char* server : {kNs1, kNs2}) Answer(server, dns::Failing(dns::Rcode::kRefused));
  EXPECT_THAT(world_.CleanUp(), ElementsAre(StatusIs(absl::StatusCode::kNotFound)));
  EXPECT_THAT(world_.Ledger(), SizeIs(1));
  for (const char* server : {kNs1, kNs2}) Answer(server, others);
  EXPECT_THAT(world_.CleanUp(), ElementsAre(IsOk()));
  EXPECT_THAT(world_.Ledger(), IsEmpty());
}

// Fault 110.
TEST_F(LeftBehindTest, WhatAServerRefusesToRemoveAndDoesNotHaveIsForgottenToo) {
  world_.configs.error = absl::OkStatus();
  world_.clock.Advance(absl::Hours(2));
  Answer(kNs1, Value("key-of-a"));
  for (const absl::Status& error :
       {absl::FailedPreconditionError("REFUSED"), absl::UnavailableError("no answer"),
        absl::UnimplementedError("provider")}) {
    world_.providers.clean_up_error = error;
    EXPECT_THAT(world_.CleanUp(), ElementsAre(StatusIs(error.code())));
  }
  Answer(kNs1, dns::NxDomain("example.test"));
  EXPECT_THAT(world_.CleanUp(), ElementsAre(IsOk()));
  EXPECT_THAT(world_.Ledger(), IsEmpty());
}

TEST(CleanUpReconcilerTest, AConflictIsAborted) {
  SolverWorld world;
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Settle("a"));
  world.mortal().BeforeNextCommit([&] {
    v1::Challenge challenge = world.Get("a");
    challenge.mutable_status()->set_reason("changed meanwhile");
    CW_ASSERT_OK(world.UpdateStatus(challenge));
  });
  EXPECT_THAT(world.CleanUp(), ElementsAre(StatusIs(absl::StatusCode::kAborted)));
  EXPECT_THAT(world.CleanUp(), ElementsAre(IsOk()));
  EXPECT_EQ(world.Get("a").status().reason(), "changed meanwhile");
}

}  // namespace
}  // namespace certwright::solver
