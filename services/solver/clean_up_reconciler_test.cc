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
