#include "services/order/order_decision.h"

#include <algorithm>
#include <optional>

#include "lib/acme/problem.h"
#include "lib/acme/rate_limit_detail.h"
#include "lib/http/http_client.h"
#include "lib/service/conditions.h"

namespace certwright::order {
namespace {

// An issuer that needs a person is looked at again this often without any event.
constexpr absl::Duration kOperatorRetry = absl::Minutes(10);
// How long an account that the CA does not know is left to the issuer service to register.
constexpr absl::Duration kReregisterRetry = absl::Minutes(1);
// Whoever stands before the CA has passed the request on, and waited for nothing.
constexpr int kGatewayTimeout = 504;

Action Do(Step step) { return Action{step, absl::InfiniteFuture(), {}}; }
Action WaitUntil(absl::Time wake_at) { return Action{Step::kWait, wake_at, {}}; }
Action Fail(v1::OrderState state) { return Action{Step::kFail, absl::InfiniteFuture(), state}; }

absl::Time ExpiryOf(const v1::OrderStatus& status) {
  return status.has_expires() ? service::FromProto(status.expires()) : absl::InfiniteFuture();
}

absl::Time FinishedAt(const v1::Order& order) {
  const meta::v1::Condition* ready =
      service::FindCondition(order.status().conditions(), "Ready");
  if (order.status().has_failure_time()) {
    return service::FromProto(order.status().failure_time());
  }
  if (ready != nullptr) return service::FromProto(ready->last_transition_time());
  return service::FromProto(order.metadata().create_time());
}

bool TalksToCa(Step step) {
  switch (step) {
    case Step::kPlace:
    case Step::kReadOrder:
    case Step::kReadAuthorizations:
    case Step::kFinalize:
    case Step::kDownload:
      return true;
    default:
      return false;
  }
}

bool IsDead(absl::string_view authorization_state) {
  return authorization_state != "valid" && authorization_state != "pending";
}

// Of several failed challenges the CA's own word counts most.
v1::OrderState FailedState(const std::vector<const solver::v1::Challenge*>& challenges) {
  v1::OrderState worst = v1::ORDER_STATE_UNSPECIFIED;
  for (const solver::v1::Challenge* challenge : challenges) {
    if (challenge == nullptr) continue;
    switch (challenge->status().state()) {
      case solver::v1::CHALLENGE_STATE_INVALID:
        return v1::ORDER_STATE_INVALID;
      case solver::v1::CHALLENGE_STATE_ERRORED:
        worst = v1::ORDER_STATE_ERRORED;
        break;
      case solver::v1::CHALLENGE_STATE_EXPIRED:
        if (worst == v1::ORDER_STATE_UNSPECIFIED) worst = v1::ORDER_STATE_EXPIRED;
        break;
      default:
        break;
    }
  }
  return worst;
}

Action ReadWhenDue(const Snapshot& snapshot, absl::Time now) {
  return snapshot.next_poll > now ? WaitUntil(snapshot.next_poll) : Do(Step::kReadOrder);
}

// All names are proven as far as we know.
Action DecideProven(const Snapshot& snapshot, absl::Time now) {
  if (snapshot.finalize_refused || snapshot.polls > 0) {
    // The CA has not caught up with its own validations.
    return snapshot.ca_order != nullptr ? Do(Step::kPoll) : ReadWhenDue(snapshot, now);
  }
  return Do(Step::kFinalize);
}

Action DecidePending(const v1::Order& order, const Snapshot& snapshot, absl::Time now) {
  const v1::OrderStatus& status = order.status();
  const auto& authorizations = status.authorizations();
  if (authorizations.empty()) {
    // The CA wants nothing proven, and yet does not call the order ready.
    return snapshot.ca_order == nullptr ? ReadWhenDue(snapshot, now) : Do(Step::kPoll);
  }
  for (const v1::Authorization& authorization : authorizations) {
    if (authorization.initial_state().empty()) return Do(Step::kReadAuthorizations);
    if (IsDead(authorization.initial_state())) return Fail(v1::ORDER_STATE_INVALID);
  }
  const v1::OrderState failed = FailedState(snapshot.challenges);
  if (failed != v1::ORDER_STATE_UNSPECIFIED) {
    return snapshot.ca_order == nullptr ? Do(Step::kReadOrder) : Fail(failed);
  }
  bool all_valid = true;
  for (int i = 0; i < authorizations.size(); ++i) {
    if (!NeedsChallenge(authorizations[i])) continue;
    const solver::v1::Challenge* challenge = snapshot.challenges[i];
    if (challenge == nullptr) return Do(Step::kCreateChallenges);
    all_valid &= challenge->status().state() == solver::v1::CHALLENGE_STATE_VALID;
  }
  return all_valid ? DecideProven(snapshot, now) : WaitUntil(ExpiryOf(status));
}

// From what the CA has just said.
Action DecideByCa(const v1::Order& order, const Snapshot& snapshot, absl::Time now) {
  const bool expired = now >= ExpiryOf(order.status());
  switch (snapshot.ca_order->status) {
    case acme::OrderStatus::kValid:
      return Do(Step::kDownload);
    case acme::OrderStatus::kProcessing:
      // It may take days, for example for a person's approval, but not more than the CA allows.
      return expired ? Fail(v1::ORDER_STATE_EXPIRED) : Do(Step::kPoll);
    case acme::OrderStatus::kInvalid:
      return Fail(v1::ORDER_STATE_INVALID);
    case acme::OrderStatus::kReady:
      if (expired) return Fail(v1::ORDER_STATE_EXPIRED);
      // Some CAs call an order ready for a while after they took the request.
      return Do(snapshot.finalized ? Step::kPoll : Step::kFinalize);
    case acme::OrderStatus::kPending:
      if (expired) return Fail(v1::ORDER_STATE_EXPIRED);
      return snapshot.finalized ? Do(Step::kPoll) : DecidePending(order, snapshot, now);
  }
  return Do(Step::kReadOrder);
}

Action DecideOpen(const v1::Order& order, const Snapshot& snapshot, absl::Time now) {
  const v1::OrderStatus& status = order.status();
  if (status.url().empty()) return Do(Step::kPlace);
  if (snapshot.ca_order != nullptr) return DecideByCa(order, snapshot, now);
  if (!status.certificate_url().empty()) return Do(Step::kDownload);
  switch (status.state()) {
    case v1::ORDER_STATE_PROCESSING:
      return ReadWhenDue(snapshot, now);
    case v1::ORDER_STATE_READY:
      // Whether the request was sent before is for the CA to say.
      return Do(Step::kReadOrder);
    default:
      break;
  }
  if (now >= ExpiryOf(status)) {
    return snapshot.account.ok() ? Do(Step::kReadOrder) : Fail(v1::ORDER_STATE_EXPIRED);
  }
  if (snapshot.finalize_refused) return Do(Step::kReadOrder);
  return DecidePending(order, snapshot, now);
}

bool IsPausedByCa(const absl::Status& error) {
  const std::optional<acme::Problem> problem = acme::ProblemOf(error);
  return problem.has_value() && acme::IsPause(problem->ShortType(), problem->detail);
}

// So that a Certificate has no more than five orders in its first hour, while an answer that
// was lost by chance costs little.
absl::Duration PauseAfterUnanswered(int count) {
  switch (count) {
    case 1:
      return absl::Seconds(5);
    case 2:
      return absl::Minutes(2);
    case 3:
      return absl::Minutes(10);
    case 4:
      return absl::Minutes(30);
    default:
      return absl::Hours(1);
  }
}

ErrorAction DecideByClass(const absl::Status& error, Step step, absl::Time now) {
  const auto fail = [](v1::OrderState state) {
    return ErrorAction{Recovery::kFail, absl::InfiniteFuture(), state, "Failed"};
  };
  ErrorAction backoff{Recovery::kBackoff, absl::InfiniteFuture(), {}, "ServerUnavailable"};
  ErrorAction read_order{Recovery::kReadOrder, absl::InfiniteFuture(), {}, "ServerUnavailable"};
  switch (acme::ClassOf(error)) {
    case acme::ErrorClass::kRetryAt:
      return ErrorAction{
          Recovery::kRetryAt,
          std::max(acme::RetryAtOf(error).value_or(now + absl::Minutes(1)),
                   now + absl::Seconds(1)),
          {},
          absl::IsResourceExhausted(error) ? "RateLimited" : "ServerUnavailable"};
    case acme::ErrorClass::kReregister:
      return ErrorAction{
          Recovery::kOperator, now + kReregisterRetry, {}, "AccountDoesNotExist"};
    case acme::ErrorClass::kOperator:
      // Only a person ends a pause. Whether and when to try again is for the issuer service.
      if (IsPausedByCa(error)) return fail(v1::ORDER_STATE_ERRORED);
      return ErrorAction{Recovery::kOperator,
                         now + kOperatorRetry,
                         {},
                         acme::HasProblemType(error, "userActionRequired")
                             ? "UserActionRequired"
                             : "IssuerNotReady"};
    case acme::ErrorClass::kAlreadyDone:
    case acme::ErrorClass::kRereadOrder:
      return step == Step::kFinalize ? read_order : backoff;
    case acme::ErrorClass::kNewOrder:
      return fail(v1::ORDER_STATE_INVALID);
    case acme::ErrorClass::kPermanent:
      break;
    default:
      return backoff;
  }
  // Some CAs say "unauthorized" where orderNotReady is meant.
  if (step == Step::kFinalize && absl::IsPermissionDenied(error)) return read_order;
  // The CA has forgotten the order; another one may succeed.
  if (absl::IsNotFound(error) &&
      (step == Step::kReadOrder || step == Step::kReadAuthorizations)) {
    return fail(v1::ORDER_STATE_INVALID);
  }
  return fail(v1::ORDER_STATE_ERRORED);
}

}  // namespace

bool IsFinal(v1::OrderState state) {
  return state == v1::ORDER_STATE_VALID || state == v1::ORDER_STATE_INVALID ||
         state == v1::ORDER_STATE_EXPIRED || state == v1::ORDER_STATE_ERRORED;
}

bool IsFinal(solver::v1::ChallengeState state) {
  return state == solver::v1::CHALLENGE_STATE_VALID ||
         state == solver::v1::CHALLENGE_STATE_INVALID ||
         state == solver::v1::CHALLENGE_STATE_EXPIRED ||
         state == solver::v1::CHALLENGE_STATE_ERRORED;
}

bool NeedsChallenge(const v1::Authorization& authorization) {
  return !authorization.initial_state().empty() && authorization.initial_state() != "valid";
}

Action Decide(const v1::Order& order, const Snapshot& snapshot, absl::Time now) {
  if (order.metadata().has_delete_time()) return Do(Step::kCleanUp);
  if (IsFinal(order.status().state())) {
    const absl::Time end = FinishedAt(order) + snapshot.retention;
    return now >= end ? Do(Step::kCleanUp) : WaitUntil(end);
  }
  const Action action = DecideOpen(order, snapshot, now);
  const bool needs_account = TalksToCa(action.step) || action.step == Step::kCreateChallenges;
  if (!needs_account) return action;
  if (!snapshot.account.ok()) {
    return Action{Step::kWaitForIssuer, ExpiryOf(order.status()), {}};
  }
  if (TalksToCa(action.step) && snapshot.retry_at > now) return WaitUntil(snapshot.retry_at);
  return action;
}

bool MayHavePlaced(const absl::Status& error) {
  const int http_status = acme::HttpStatusOf(error).value_or(0);
  const bool is_success = http_status >= 200 && http_status < 300;
  return is_success || http_status == kGatewayTimeout || http::WasSent(error);
}

ErrorAction DecideOnError(const absl::Status& error, Step step, int unanswered,
                          absl::Time now) {
  ErrorAction action = DecideByClass(error, step, now);
  const bool again =
      action.recovery == Recovery::kBackoff || action.recovery == Recovery::kRetryAt;
  if (step != Step::kPlace || !again || !MayHavePlaced(error)) return action;
  const absl::Time at_best = action.recovery == Recovery::kRetryAt ? action.retry_at : now;
  action.recovery = Recovery::kRetryAt;
  action.retry_at = std::max(at_best, now + PauseAfterUnanswered(unanswered));
  return action;
}

}  // namespace certwright::order
