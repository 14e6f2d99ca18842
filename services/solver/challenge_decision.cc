#include "services/solver/challenge_decision.h"

#include <algorithm>

#include "lib/acme/problem.h"
#include "lib/service/conditions.h"
#include "services/solver/challenge_record.h"

namespace certwright::solver {
namespace {

constexpr absl::Duration kFirstCheckDelay = absl::Milliseconds(50);
constexpr absl::Duration kLongestCheckDelay = absl::Seconds(5);
constexpr double kCheckJitter = 0.1;

// The wait after `turns` slots were given back.
absl::Duration Pause(int turns) {
  return std::min(kFirstPause * (int64_t{1} << std::min(turns, 10)), kLongestPause);
}

Action WaitUntil(absl::Time time) { return Action{Step::kWait, time}; }

bool MustPutOut(const v1::ChallengeStatus& status, const Snapshot& snapshot, absl::Time now) {
  if (!status.presented() || !snapshot.put_out_time.has_value()) return true;
  return !snapshot.found_at.has_value() && snapshot.checks_in_turn > 0 &&
         now - *snapshot.put_out_time >= kPresentAgain;
}

// From the slot to the CA.
Action Prove(const v1::Challenge& challenge, const Snapshot& snapshot, absl::Time now) {
  const v1::ChallengeStatus& status = challenge.status();
  const issuer::v1::SelfCheck& check = snapshot.solver->self_check();
  if (!snapshot.authorization_known) return {Step::kLook};
  if (challenge.spec().type() == v1::CHALLENGE_TYPE_DNS01 && status.resolved_name().empty()) {
    return {Step::kLocate};
  }
  if (MustPutOut(status, snapshot, now)) return {Step::kPresent};
  if (check.mode() == issuer::v1::SELF_CHECK_MODE_NONE) {
    const absl::Time ready = *snapshot.put_out_time + service::FromProto(check.wait());
    return now < ready ? WaitUntil(ready) : Action{Step::kAccept};
  }
  if (!snapshot.found_at.has_value()) return {Step::kCheck};
  const absl::Time settled = *snapshot.found_at + service::FromProto(check.settle());
  return now < settled ? WaitUntil(settled) : Action{Step::kAccept};
}

bool TurnIsOver(const Snapshot& snapshot, absl::Time now) {
  return snapshot.slot_since.has_value() && !snapshot.found_at.has_value() &&
         snapshot.checks_in_turn > 0 &&
         (snapshot.turns > 0 || now - *snapshot.slot_since >= kTurn);
}

Action DecideInTime(const v1::Challenge& challenge, const Snapshot& snapshot, absl::Time now) {
  const v1::ChallengeStatus& status = challenge.status();
  const bool accepted = status.state() == v1::CHALLENGE_STATE_ACCEPTED;
  if (!snapshot.account.ok()) return {Step::kWaitForIssuer};
  if (!accepted && TurnIsOver(snapshot, now)) {
    return {Step::kGiveBack, now + Pause(snapshot.turns)};
  }
  if (now < snapshot.due) return WaitUntil(snapshot.due);
  if (snapshot.solver == nullptr && !snapshot.solver_unknown) return {Step::kResolveSolver};
  if (accepted) return {Step::kPoll};
  if (snapshot.exclusive && status.resolved_name().empty()) return {Step::kLocate};
  if (!snapshot.slot_since.has_value()) {
    return snapshot.slot_denied ? WaitUntil(absl::InfiniteFuture()) : Action{Step::kAcquire};
  }
  return Prove(challenge, snapshot, now);
}

ErrorAction Fail(v1::ChallengeState state, std::string reason) {
  ErrorAction action;
  action.recovery = Recovery::kFail;
  action.failed_state = state;
  action.reason = std::move(reason);
  return action;
}

ErrorAction RetryAt(absl::Time time, std::string reason) {
  ErrorAction action;
  action.recovery = Recovery::kRetryAt;
  action.wake_at = time;
  action.reason = std::move(reason);
  return action;
}

ErrorAction BackOff(std::string reason) {
  ErrorAction action;
  action.reason = std::move(reason);
  return action;
}

ErrorAction OnAcmeError(const absl::Status& error, Step step, bool looked, absl::Time now) {
  const char* const reason = "WaitingForCA";
  switch (acme::ClassOf(error)) {
    case acme::ErrorClass::kRetryAt:
      return RetryAt(acme::RetryAtOf(error).value_or(now + kOperatorDelay), reason);
    case acme::ErrorClass::kReregister:
    case acme::ErrorClass::kOperator:
      return RetryAt(now + kOperatorDelay, reason);
    case acme::ErrorClass::kNewOrder:
    case acme::ErrorClass::kPermanent:
    case acme::ErrorClass::kRereadOrder:
      break;
    default:
      return BackOff(reason);
  }
  // A CA refuses to be told twice, which a restart may have done.
  if (step == Step::kAccept && !looked) {
    ErrorAction action;
    action.recovery = Recovery::kLook;
    return action;
  }
  return acme::ClassOf(error) == acme::ErrorClass::kPermanent
             ? Fail(v1::CHALLENGE_STATE_ERRORED, "Failed")
             : Fail(v1::CHALLENGE_STATE_INVALID, "Invalid");
}

// Of the solver's configuration, its provider and DNS.
ErrorAction OnPresentError(const absl::Status& error, Step step, absl::Time now) {
  const char* const reason = "PresentError";
  switch (error.code()) {
    case absl::StatusCode::kUnimplemented:
      return Fail(v1::CHALLENGE_STATE_ERRORED, "Unsupported");
    case absl::StatusCode::kInvalidArgument:
      return Fail(v1::CHALLENGE_STATE_ERRORED, "Failed");
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
      // Names and aliases may be on their way.
      if (step == Step::kLocate) return BackOff(reason);
      return RetryAt(now + kOperatorDelay, reason);
    default:
      return BackOff(reason);
  }
}

}  // namespace

absl::Time DeadlineOf(const v1::Challenge& challenge, const issuer::v1::AcmeSolver* solver) {
  if (challenge.spec().has_not_after()) return service::FromProto(challenge.spec().not_after());
  absl::Duration limit = kLongestDeadline;
  if (solver != nullptr) {
    const absl::Duration configured = service::FromProto(solver->self_check().deadline());
    limit = configured > absl::ZeroDuration() ? std::min(configured, kLongestDeadline)
                                              : kDefaultDeadline;
  }
  return service::FromProto(challenge.metadata().create_time()) + limit;
}

Action Decide(const v1::Challenge& challenge, const Snapshot& snapshot, absl::Time now) {
  const v1::ChallengeStatus& status = challenge.status();
  if (IsFinal(status.state())) {
    const absl::Time end = service::FromProto(status.next_check_time());
    return now < end ? WaitUntil(end) : Action{Step::kDelete};
  }
  const absl::Time deadline = DeadlineOf(challenge, snapshot.solver);
  if (now < deadline) {
    Action action = DecideInTime(challenge, snapshot, now);
    action.wake_at = std::min(action.wake_at, deadline);
    return action;
  }
  // What the CA decided while nobody listened still counts.
  const bool asked = status.presented() || status.state() == v1::CHALLENGE_STATE_ACCEPTED;
  if (asked && snapshot.account.ok() && !snapshot.last_look_taken) {
    return {status.state() == v1::CHALLENGE_STATE_ACCEPTED ? Step::kPoll : Step::kLook};
  }
  return {Step::kExpire};
}

absl::Duration CheckDelay(int attempt, base::Random& random) {
  const absl::Duration delay = kFirstCheckDelay * (int64_t{1} << std::clamp(attempt, 0, 10));
  return random.Jitter(std::min(delay, kLongestCheckDelay), kCheckJitter);
}

ErrorAction DecideOnError(const absl::Status& error, Step step, bool looked, absl::Time now) {
  switch (step) {
    case Step::kLook:
    case Step::kAccept:
    case Step::kPoll:
      return OnAcmeError(error, step, looked, now);
    default:
      return OnPresentError(error, step, now);
  }
}

}  // namespace certwright::solver
