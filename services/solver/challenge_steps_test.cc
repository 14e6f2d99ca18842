// What the steps of a pass make of what the CA, the issuer and the store say.
#include <cstdint>
#include <functional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/problem.h"
#include "lib/base/status_matchers.h"
#include "services/solver/challenge_reconciler.h"
#include "services/solver/solver_world.h"

namespace certwright::solver {
namespace {

using base::StatusIs;
using testing::ElementsAre;
using testing::IsEmpty;

// A challenge that an earlier process has begun with: the CA is looked at first.
v1::Challenge Begun(SolverWorld& world) {
  v1::Challenge challenge = world.Make("a");
  challenge.mutable_status()->set_state(v1::CHALLENGE_STATE_QUEUED);
  return challenge;
}

// Until the CA looks for the proof of "a", which it does for as long as the test wants.
void GetAccepted(SolverWorld& world) {
  world.AuthorityOf("a").polls_until_decided = 1000;
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  ASSERT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_ACCEPTED);
}

struct Trouble {
  const char* what;
  std::function<void(SolverWorld&)> begin;
  std::function<void(SolverWorld&)> end;
  int in_flight;
};

std::vector<Trouble> Troubles() {
  const auto the_ca_says = [](const absl::Status& error) {
    return [error](SolverWorld& world) { world.AuthorityOf("a").get_error = error; };
  };
  const auto limited = [](SolverWorld& world) {
    acme::Problem problem;
    problem.type = "urn:ietf:params:acme:error:rateLimited";
    const absl::Time now = world.clock.Now();
    world.AuthorityOf("a").get_error =
        acme::ProblemStatus(429, problem, now + absl::Minutes(1), now);
  };
  return {
      {"the issuer is gone",
       [](SolverWorld& world) { world.authorities.error = absl::NotFoundError("no issuer"); },
       [](SolverWorld& world) { world.authorities.error = absl::OkStatus(); }, 0},
      {"the solver is gone",
       [](SolverWorld& world) { world.configs.error = absl::NotFoundError("no solver"); },
       [](SolverWorld& world) { world.configs.error = absl::OkStatus(); }, 1},
      {"the CA does not answer", the_ca_says(absl::UnavailableError("no route")),
       the_ca_says(absl::OkStatus()), 0},
      {"the CA wants a person",
       the_ca_says(acme::ErrorWithClass(absl::StatusCode::kFailedPrecondition, "new terms",
                                        acme::ErrorClass::kOperator)),
       the_ca_says(absl::OkStatus()), 0},
      {"the CA was asked too often", limited, the_ca_says(absl::OkStatus()), 0},
  };
}

TEST(ChallengeStepsTest, NoTroubleTakesBackThatTheCaWasTold) {
  for (const Trouble& trouble : Troubles()) {
    SCOPED_TRACE(trouble.what);
    SolverWorld world;
    GetAccepted(world);
    trouble.begin(world);
    world.clock.Advance(absl::Seconds(10));
    ASSERT_TRUE(world.Pass("a").has_value());
    EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_ACCEPTED);
    EXPECT_EQ(world.scheduler->in_flight(), trouble.in_flight);
    trouble.end(world);
    world.AuthorityOf("a").polls_until_decided = 1;
    ASSERT_TRUE(world.Settle("a"));
    EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
    EXPECT_EQ(world.AuthorityOf("a").accepts, 1);
    EXPECT_EQ(world.providers.presents, 1);
    EXPECT_EQ(world.scheduler->in_flight(), 0);
  }
}

// Fault 40.
TEST(ChallengeStepsTest, WhatTheCaHasDecidedIsNotPutOut) {
  struct Case {
    acme::AuthorizationStatus authorization;
    acme::ChallengeStatus challenge;
    v1::ChallengeState state;
  };
  using acme::AuthorizationStatus;
  using acme::ChallengeStatus;
  for (const Case& c :
       {Case{AuthorizationStatus::kValid, ChallengeStatus::kPending, v1::CHALLENGE_STATE_VALID},
        Case{AuthorizationStatus::kInvalid, ChallengeStatus::kPending,
             v1::CHALLENGE_STATE_INVALID},
        Case{AuthorizationStatus::kDeactivated, ChallengeStatus::kPending,
             v1::CHALLENGE_STATE_INVALID},
        Case{AuthorizationStatus::kRevoked, ChallengeStatus::kPending,
             v1::CHALLENGE_STATE_INVALID},
        Case{AuthorizationStatus::kExpired, ChallengeStatus::kPending,
             v1::CHALLENGE_STATE_EXPIRED},
        // Of several challenges another one may still be tried.
        Case{AuthorizationStatus::kPending, ChallengeStatus::kInvalid,
             v1::CHALLENGE_STATE_INVALID}}) {
    SCOPED_TRACE(acme::StatusName(c.authorization));
    SolverWorld world;
    world.Create(Begun(world));
    world.AuthorityOf("a").status = c.authorization;
    world.AuthorityOf("a").challenge_status = c.challenge;
    ASSERT_TRUE(world.Settle("a"));
    EXPECT_EQ(world.StateOf("a"), c.state);
    EXPECT_EQ(world.AuthorityOf("a").accepts, 0);
    EXPECT_EQ(world.providers.presents, 0);
    EXPECT_THAT(world.Ledger(), IsEmpty());
    EXPECT_EQ(world.scheduler->in_flight(), 0);
  }
}

TEST(ChallengeStepsTest, WhatTheCaIsLookingAtIsNotToldToItAgain) {
  SolverWorld world;
  world.Create(Begun(world));
  world.AuthorityOf("a").challenge_status = acme::ChallengeStatus::kProcessing;
  world.AuthorityOf("a").polls_until_decided = 3;
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  EXPECT_EQ(world.AuthorityOf("a").accepts, 0);
}

TEST(ChallengeStepsTest, AnEndThatCannotBeStoredIsNone) {
  SolverWorld world;
  GetAccepted(world);
  world.AuthorityOf("a").polls_until_decided = 1;
  world.clock.Advance(absl::Seconds(10));
  world.mortal().FailNextCommit(absl::UnavailableError("disk full"));
  EXPECT_THAT(*world.Pass("a"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_ACCEPTED);
  EXPECT_THAT(world.finished, IsEmpty());
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  EXPECT_THAT(world.finished, ElementsAre("a"));
  EXPECT_EQ(world.scheduler->in_flight(), 0);
}

TEST(ChallengeStepsTest, ARecordLivesAsLongAsTheSolverSaysAndADayAtMost) {
  struct Case {
    int64_t configured;
    uint32_t used;
  };
  for (const Case& c : {Case{0, 60}, Case{1, 1}, Case{86'400, 86'400}, Case{86'401, 86'400},
                        Case{int64_t{1} << 33, 86'400}}) {
    SolverWorld world;
    if (c.configured != 0) {
      world.configs.solver.mutable_dns01()->mutable_ttl()->set_seconds(c.configured);
    }
    world.Create(world.Make("a"));
    ASSERT_TRUE(world.Settle("a"));
    EXPECT_EQ(world.providers.last_ttl, c.used) << c.configured;
  }
}

}  // namespace
}  // namespace certwright::solver
