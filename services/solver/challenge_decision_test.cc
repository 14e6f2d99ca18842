#include "services/solver/challenge_decision.h"

#include <functional>

#include "gtest/gtest.h"
#include "lib/acme/problem.h"
#include "lib/service/conditions.h"

namespace certwright::solver {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'000'000);
const absl::Time kDeadline = kNow + absl::Minutes(5);

// A challenge that has been presented and a snapshot in which nothing is missing.
struct Situation {
  v1::Challenge challenge;
  Snapshot snapshot;
  issuer::v1::AcmeSolver solver;

  Situation() {
    v1::ChallengeSpec& spec = *challenge.mutable_spec();
    spec.set_type(v1::CHALLENGE_TYPE_DNS01);
    *spec.mutable_not_after() = service::ToProto(kDeadline);
    v1::ChallengeStatus& status = *challenge.mutable_status();
    status.set_state(v1::CHALLENGE_STATE_PRESENTED);
    status.set_presented(true);
    status.set_resolved_name("r");
    *status.mutable_presented_time() = service::ToProto(kNow);
    snapshot.solver = &solver;
    snapshot.slot_since = kNow;
    snapshot.authorization_known = true;
    snapshot.put_out_time = kNow;
  }
  v1::ChallengeStatus& status() { return *challenge.mutable_status(); }
};

struct Case {
  const char* what;
  std::function<void(Situation&)> arrange;
  Step step;
  absl::Time wake_at = kDeadline;
};

TEST(ChallengeDecisionTest, TheNextStepFollowsFromWhatIsKnown) {
  const Case cases[] = {
      {"the proof is out", [](Situation&) {}, Step::kCheck},
      {"the solver is not known", [](Situation& s) { s.snapshot.solver = nullptr; },
       Step::kResolveSolver, kDeadline},
      {"no slot", [](Situation& s) { s.snapshot.slot_since.reset(); }, Step::kAcquire},
      {"no slot to be had",
       [](Situation& s) {
         s.snapshot.slot_since.reset();
         s.snapshot.slot_denied = true;
       },
       Step::kWait},
      {"a provider of one value per name needs the name before the slot",
       [](Situation& s) {
         s.snapshot.slot_since.reset();
         s.snapshot.exclusive = true;
         s.status().clear_resolved_name();
       },
       Step::kLocate},
      {"the authorization was not looked at",
       [](Situation& s) { s.snapshot.authorization_known = false; }, Step::kLook},
      {"the record's place is not known",
       [](Situation& s) { s.status().clear_resolved_name(); }, Step::kLocate},
      {"HTTP-01 needs no place",
       [](Situation& s) {
         s.status().clear_resolved_name();
         s.challenge.mutable_spec()->set_type(v1::CHALLENGE_TYPE_HTTP01);
       },
       Step::kCheck},
      {"not presented", [](Situation& s) { s.status().set_presented(false); }, Step::kPresent},
      {"presented by an earlier process", [](Situation& s) { s.snapshot.put_out_time.reset(); },
       Step::kPresent},
      {"not seen for long",
       [](Situation& s) {
         s.snapshot.checks_in_turn = 3;
         s.snapshot.put_out_time = kNow - kPresentAgain;
       },
       Step::kPresent},
      {"not seen for a short time",
       [](Situation& s) {
         s.snapshot.checks_in_turn = 3;
         s.snapshot.put_out_time = kNow - kPresentAgain + absl::Seconds(1);
       },
       Step::kCheck},
      {"not looked for since it was put out",
       [](Situation& s) { s.snapshot.put_out_time = kNow - kPresentAgain; }, Step::kCheck},
      {"seen long after it was put out",
       [](Situation& s) {
         s.snapshot.checks_in_turn = 3;
         s.snapshot.put_out_time = kNow - kPresentAgain;
         s.snapshot.found_at = kNow;
       },
       Step::kAccept},
      {"a check was not long ago",
       [](Situation& s) {
         s.snapshot.checks_in_turn = 3;
         s.snapshot.due = kNow + absl::Seconds(2);
       },
       Step::kWait, kNow + absl::Seconds(2)},
      {"the first turn is over",
       [](Situation& s) {
         s.snapshot.checks_in_turn = 9;
         s.snapshot.slot_since = kNow - kTurn;
         s.snapshot.due = kNow + absl::Seconds(2);
       },
       Step::kGiveBack, kNow + absl::Seconds(5)},
      {"the first turn is almost over",
       [](Situation& s) {
         s.snapshot.checks_in_turn = 9;
         s.snapshot.slot_since = kNow - kTurn + absl::Seconds(1);
       },
       Step::kCheck},
      {"a later turn has one check",
       [](Situation& s) {
         s.snapshot.checks_in_turn = 1;
         s.snapshot.turns = 2;
       },
       Step::kGiveBack, kNow + absl::Seconds(20)},
      {"pauses do not grow for ever",
       [](Situation& s) {
         s.snapshot.checks_in_turn = 1;
         s.snapshot.turns = 50;
       },
       Step::kGiveBack, kNow + kLongestPause},
      {"a turn is over only after a check",
       [](Situation& s) { s.snapshot.slot_since = kNow - 2 * kTurn; }, Step::kCheck},
      {"seen", [](Situation& s) { s.snapshot.found_at = kNow; }, Step::kAccept},
      {"seen, but it has to settle",
       [](Situation& s) {
         s.snapshot.found_at = kNow - absl::Seconds(1);
         s.solver.mutable_self_check()->mutable_settle()->set_seconds(4);
       },
       Step::kWait, kNow + absl::Seconds(3)},
      {"seen, and it has settled",
       [](Situation& s) {
         s.snapshot.found_at = kNow - absl::Seconds(4);
         s.solver.mutable_self_check()->mutable_settle()->set_seconds(4);
       },
       Step::kAccept},
      {"what is seen keeps its slot",
       [](Situation& s) {
         s.snapshot.found_at = kNow;
         s.snapshot.checks_in_turn = 9;
         s.snapshot.slot_since = kNow - 2 * kTurn;
       },
       Step::kAccept},
      {"a wait instead of a check",
       [](Situation& s) {
         s.solver.mutable_self_check()->set_mode(issuer::v1::SELF_CHECK_MODE_NONE);
         s.solver.mutable_self_check()->mutable_wait()->set_seconds(7);
       },
       Step::kWait, kNow + absl::Seconds(7)},
      {"the wait instead of a check is over",
       [](Situation& s) {
         s.solver.mutable_self_check()->set_mode(issuer::v1::SELF_CHECK_MODE_NONE);
         s.solver.mutable_self_check()->mutable_wait()->set_seconds(7);
         s.snapshot.put_out_time = kNow - absl::Seconds(7);
       },
       Step::kAccept},
      {"no wait instead of a check",
       [](Situation& s) {
         s.solver.mutable_self_check()->set_mode(issuer::v1::SELF_CHECK_MODE_NONE);
       },
       Step::kAccept},
      {"accepted", [](Situation& s) { s.status().set_state(v1::CHALLENGE_STATE_ACCEPTED); },
       Step::kPoll},
      {"accepted, and polled just now",
       [](Situation& s) {
         s.status().set_state(v1::CHALLENGE_STATE_ACCEPTED);
         s.snapshot.due = kNow + absl::Seconds(1);
       },
       Step::kWait, kNow + absl::Seconds(1)},
      {"accepted keeps its slot",
       [](Situation& s) {
         s.status().set_state(v1::CHALLENGE_STATE_ACCEPTED);
         s.snapshot.checks_in_turn = 9;
         s.snapshot.slot_since = kNow - 2 * kTurn;
       },
       Step::kPoll},
      {"accepted needs neither slot nor solver",
       [](Situation& s) {
         s.status().set_state(v1::CHALLENGE_STATE_ACCEPTED);
         s.snapshot.slot_since.reset();
         s.snapshot.solver = nullptr;
         s.snapshot.solver_unknown = true;
       },
       Step::kPoll, kDeadline},
      {"no issuer", [](Situation& s) { s.snapshot.account = absl::NotFoundError("no issuer"); },
       Step::kWaitForIssuer},
      {"a wait ends at the deadline",
       [](Situation& s) { s.snapshot.due = kNow + absl::Hours(1); }, Step::kWait, kDeadline},
  };
  for (const Case& c : cases) {
    Situation situation;
    c.arrange(situation);
    const Action action = Decide(situation.challenge, situation.snapshot, kNow);
    EXPECT_EQ(static_cast<int>(action.step), static_cast<int>(c.step)) << c.what;
    EXPECT_EQ(action.wake_at, c.wake_at) << c.what;
  }
}

TEST(ChallengeDecisionTest, AfterTheDeadlineItExpires) {
  const Case cases[] = {
      {"one last look", [](Situation&) {}, Step::kLook},
      {"one last poll",
       [](Situation& s) { s.status().set_state(v1::CHALLENGE_STATE_ACCEPTED); }, Step::kPoll},
      {"one last poll of what an earlier process told the CA of",
       [](Situation& s) {
         s.status().set_state(v1::CHALLENGE_STATE_ACCEPTED);
         s.status().set_presented(false);
       },
       Step::kPoll},
      {"it was taken", [](Situation& s) { s.snapshot.last_look_taken = true; }, Step::kExpire},
      {"it cannot be taken",
       [](Situation& s) { s.snapshot.account = absl::NotFoundError("no issuer"); },
       Step::kExpire},
      {"nothing was put out", [](Situation& s) { s.status().set_presented(false); },
       Step::kExpire},
      {"it waits for something else",
       [](Situation& s) {
         s.snapshot.last_look_taken = true;
         s.snapshot.due = kDeadline + absl::Hours(1);
       },
       Step::kExpire},
  };
  for (const Case& c : cases) {
    Situation situation;
    c.arrange(situation);
    const Action action = Decide(situation.challenge, situation.snapshot, kDeadline);
    EXPECT_EQ(static_cast<int>(action.step), static_cast<int>(c.step)) << c.what;
  }
}

TEST(ChallengeDecisionTest, FinalChallengesAreKeptForAWhile) {
  for (const v1::ChallengeState state :
       {v1::CHALLENGE_STATE_VALID, v1::CHALLENGE_STATE_INVALID, v1::CHALLENGE_STATE_EXPIRED,
        v1::CHALLENGE_STATE_ERRORED}) {
    Situation situation;
    situation.status().set_state(state);
    *situation.status().mutable_next_check_time() = service::ToProto(kNow + absl::Hours(1));
    Action action = Decide(situation.challenge, situation.snapshot, kNow);
    EXPECT_EQ(action.step, Step::kWait);
    EXPECT_EQ(action.wake_at, kNow + absl::Hours(1));
    action = Decide(situation.challenge, situation.snapshot, kNow + absl::Hours(1));
    EXPECT_EQ(action.step, Step::kDelete);
  }
}

TEST(ChallengeDecisionTest, TheDeadlineIsTheSpecsOrTheSolvers) {
  v1::Challenge challenge;
  *challenge.mutable_metadata()->mutable_create_time() = service::ToProto(kNow);
  issuer::v1::AcmeSolver solver;
  EXPECT_EQ(DeadlineOf(challenge, nullptr), kNow + kLongestDeadline);
  EXPECT_EQ(DeadlineOf(challenge, &solver), kNow + kDefaultDeadline);
  solver.mutable_self_check()->mutable_deadline()->set_seconds(60);
  EXPECT_EQ(DeadlineOf(challenge, &solver), kNow + absl::Minutes(1));
  solver.mutable_self_check()->mutable_deadline()->set_seconds(1'000'000);
  EXPECT_EQ(DeadlineOf(challenge, &solver), kNow + kLongestDeadline);
  *challenge.mutable_spec()->mutable_not_after() = service::ToProto(kDeadline);
  EXPECT_EQ(DeadlineOf(challenge, &solver), kDeadline);
}

TEST(ChallengeDecisionTest, ChecksGetRarer) {
  base::FixedRandom random;
  EXPECT_EQ(CheckDelay(0, random), absl::Milliseconds(50));
  EXPECT_EQ(CheckDelay(1, random), absl::Milliseconds(100));
  EXPECT_EQ(CheckDelay(5, random), absl::Milliseconds(1600));
  EXPECT_EQ(CheckDelay(7, random), absl::Seconds(5));
  EXPECT_EQ(CheckDelay(1'000'000, random), absl::Seconds(5));
}

absl::Status Acme(acme::ErrorClass error_class) {
  return acme::ErrorWithClass(absl::StatusCode::kFailedPrecondition, "x", error_class);
}

TEST(ChallengeDecisionTest, ErrorsAskForARecovery) {
  struct ErrorCase {
    absl::Status error;
    Step step;
    bool looked;
    Recovery recovery;
    v1::ChallengeState state = v1::CHALLENGE_STATE_UNSPECIFIED;
  };
  const ErrorCase cases[] = {
      {Acme(acme::ErrorClass::kRetryBackoff), Step::kPoll, false, Recovery::kBackoff},
      {Acme(acme::ErrorClass::kReregister), Step::kLook, false, Recovery::kRetryAt},
      {Acme(acme::ErrorClass::kOperator), Step::kAccept, false, Recovery::kRetryAt},
      {Acme(acme::ErrorClass::kPermanent), Step::kAccept, false, Recovery::kLook},
      {Acme(acme::ErrorClass::kPermanent), Step::kAccept, true, Recovery::kFail,
       v1::CHALLENGE_STATE_ERRORED},
      {Acme(acme::ErrorClass::kNewOrder), Step::kAccept, true, Recovery::kFail,
       v1::CHALLENGE_STATE_INVALID},
      {Acme(acme::ErrorClass::kPermanent), Step::kPoll, false, Recovery::kFail,
       v1::CHALLENGE_STATE_ERRORED},
      {Acme(acme::ErrorClass::kNewOrder), Step::kLook, false, Recovery::kFail,
       v1::CHALLENGE_STATE_INVALID},
      {Acme(acme::ErrorClass::kNewOrder), Step::kAccept, false, Recovery::kLook},
      {Acme(acme::ErrorClass::kRereadOrder), Step::kPoll, false, Recovery::kFail,
       v1::CHALLENGE_STATE_INVALID},
      {Acme(acme::ErrorClass::kAlreadyDone), Step::kPoll, false, Recovery::kBackoff},
      {Acme(acme::ErrorClass::kRetryAt), Step::kPoll, false, Recovery::kRetryAt},
      {absl::UnavailableError("x"), Step::kAccept, false, Recovery::kBackoff},
      {absl::UnimplementedError("x"), Step::kResolveSolver, false, Recovery::kFail,
       v1::CHALLENGE_STATE_ERRORED},
      {absl::NotFoundError("x"), Step::kResolveSolver, false, Recovery::kRetryAt},
      {absl::PermissionDeniedError("x"), Step::kResolveSolver, false, Recovery::kRetryAt},
      {absl::UnavailableError("x"), Step::kResolveSolver, false, Recovery::kBackoff},
      {absl::FailedPreconditionError("x"), Step::kPresent, false, Recovery::kRetryAt},
      {absl::InvalidArgumentError("x"), Step::kPresent, false, Recovery::kFail,
       v1::CHALLENGE_STATE_ERRORED},
      {absl::UnavailableError("x"), Step::kPresent, false, Recovery::kBackoff},
      {absl::NotFoundError("x"), Step::kLocate, false, Recovery::kBackoff},
      {absl::FailedPreconditionError("x"), Step::kLocate, false, Recovery::kBackoff},
      {absl::PermissionDeniedError("x"), Step::kLocate, false, Recovery::kBackoff},
      {absl::InvalidArgumentError("x"), Step::kLocate, false, Recovery::kFail,
       v1::CHALLENGE_STATE_ERRORED},
  };
  for (const ErrorCase& c : cases) {
    const ErrorAction action = DecideOnError(c.error, c.step, c.looked, kNow);
    EXPECT_EQ(static_cast<int>(action.recovery), static_cast<int>(c.recovery))
        << c.error << " at step " << static_cast<int>(c.step);
    EXPECT_EQ(action.failed_state, c.state) << c.error;
    if (c.recovery == Recovery::kRetryAt) {
      EXPECT_EQ(action.wake_at, kNow + kOperatorDelay);
    }
  }
}

TEST(ChallengeDecisionTest, ARateLimitNamesItsTime) {
  acme::Problem problem;
  problem.type = "urn:ietf:params:acme:error:rateLimited";
  const absl::Time then = kNow + absl::Hours(2);
  const ErrorAction action =
      DecideOnError(acme::ProblemStatus(429, problem, then, kNow), Step::kAccept, false, kNow);
  EXPECT_EQ(action.recovery, Recovery::kRetryAt);
  EXPECT_EQ(action.wake_at, then);
}

}  // namespace
}  // namespace certwright::solver
