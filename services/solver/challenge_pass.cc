#include "services/solver/challenge_pass.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"
#include "lib/acme/problem.h"
#include "lib/base/clock_conversion.h"
#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "lib/telemetry/log.h"

namespace certwright::solver {
namespace {

using runtime::Awaitable;
using runtime::Context;

// Waits up to this long are waited for within the pass.
constexpr absl::Duration kShortWait = absl::Milliseconds(200);
// A status that says nothing new is written at most this often.
constexpr absl::Duration kWriteInterval = absl::Seconds(5);

void ClearDetails(v1::ChallengeStatus& status) {
  status.clear_checks();
  status.clear_next_check_time();
  for (v1::PropagationFinding& finding : *status.mutable_propagation()) finding.clear_elapsed();
}

}  // namespace

bool SayTheSame(const v1::ChallengeStatus& a, const v1::ChallengeStatus& b) {
  v1::ChallengeStatus left = a;
  v1::ChallengeStatus right = b;
  ClearDetails(left);
  ClearDetails(right);
  return google::protobuf::util::MessageDifferencer::Equals(left, right);
}

ChallengePass::ChallengePass(const SolverEnvironment& environment,
                             std::shared_ptr<ChallengeMemory> memory, v1::Challenge challenge)
    : environment_(environment),
      memory_(std::move(memory)),
      key_(KeyOf(challenge)),
      stored_(challenge),
      challenge_(std::move(challenge)),
      authority_(environment_.authorities.Find(challenge_.spec().issuer_ref(),
                                               challenge_.metadata().namespace_())) {}

Snapshot ChallengePass::MakeSnapshot() const {
  Snapshot snapshot;
  snapshot.account = authority_.status();
  snapshot.solver = config_ == nullptr ? nullptr : &config_->solver;
  snapshot.solver_unknown = solver_unknown_;
  snapshot.exclusive =
      provider_ != nullptr && provider_->capabilities().max_values_per_name == 1;
  snapshot.slot_since = WallAt(memory_->slot_since);
  snapshot.slot_denied = slot_denied_;
  snapshot.turns = memory_->turns;
  snapshot.checks_in_turn = memory_->checks_in_turn;
  snapshot.authorization_known = memory_->authorization_known;
  snapshot.last_look_taken = memory_->last_look_taken;
  snapshot.put_out_time = WallAt(memory_->put_out_time);
  snapshot.found_at = WallAt(memory_->found_at);
  snapshot.due = base::WallAt(environment_.clock(), memory_->due);
  return snapshot;
}

std::optional<absl::Time> ChallengePass::WallAt(
    const std::optional<base::MonotonicTime>& time) const {
  if (!time.has_value()) return std::nullopt;
  return base::WallAt(environment_.clock(), *time);
}

Awaitable<absl::StatusOr<controller::Result>> ChallengePass::Run(Context context) {
  while (!deleted_) {
    const Action action = Decide(challenge_, MakeSnapshot(), Now());
    const bool waits = action.step == Step::kWait || action.step == Step::kWaitForIssuer ||
                       action.step == Step::kGiveBack;
    if (waits) {
      const absl::Duration delay = action.wake_at - Now();
      if (action.step != Step::kWait || delay > kShortWait) {
        co_return co_await Suspend(context, action);
      }
      CW_CO_RETURN_IF_ERROR(co_await runtime::SleepFor(environment_.timers, context, delay));
      continue;
    }
    absl::Status status = co_await Take(context, action.step);
    if (status.ok()) continue;
    std::optional<absl::StatusOr<controller::Result>> result =
        co_await OnError(context, action.step, std::move(status));
    if (result.has_value()) co_return *std::move(result);
  }
  co_return controller::Result();
}

ChallengePass::Task ChallengePass::Take(Context context, Step step) {
  switch (step) {
    case Step::kResolveSolver:
      return ResolveSolver(std::move(context));
    case Step::kLocate:
      return Locate(std::move(context));
    case Step::kLook:
      return Look(std::move(context));
    case Step::kPresent:
      return Present(std::move(context));
    case Step::kCheck:
      return Check(std::move(context));
    case Step::kAccept:
      return Accept(std::move(context));
    case Step::kPoll:
      return Poll(std::move(context));
    case Step::kExpire:
      return Expire(std::move(context));
    case Step::kDelete:
      return Delete(std::move(context));
    default:
      return [](absl::Status acquired) -> Task { co_return acquired; }(Acquire());
  }
}

Awaitable<absl::StatusOr<controller::Result>> ChallengePass::Suspend(Context context,
                                                                     Action action) {
  v1::ChallengeStatus& status = *challenge_.mutable_status();
  if (action.step == Step::kWaitForIssuer) {
    GiveSlotBack();
    Report(status.state() == v1::CHALLENGE_STATE_ACCEPTED ? v1::CHALLENGE_STATE_ACCEPTED
                                                          : v1::CHALLENGE_STATE_QUEUED,
           "IssuerNotReady", std::string(authority_.status().message()));
  } else if (action.step == Step::kGiveBack) {
    GiveSlotBack();
    ++memory_->turns;
    memory_->authorization_known = false;
    memory_->due = base::MonotonicAt(environment_.clock(), action.wake_at);
    status.set_state(v1::CHALLENGE_STATE_QUEUED);
  }
  if (!IsFinal(status.state())) SetNextCheck(action);
  CW_CO_RETURN_IF_ERROR(co_await SaveNews(context));
  controller::Result result;
  result.requeue_after = std::max(action.wake_at - Now(), absl::ZeroDuration());
  co_return result;
}

Awaitable<std::optional<absl::StatusOr<controller::Result>>> ChallengePass::OnError(
    Context context, Step step, absl::Status error) {
  using Outcome = std::optional<absl::StatusOr<controller::Result>>;
  // A lost compare-and-swap, a deletion or a shutdown: the next pass reads everything anew.
  const bool plain = absl::IsAborted(error) || absl::IsCancelled(error) ||
                     step == Step::kDelete || step == Step::kExpire;
  if (plain) {
    memory_->authorization_known = false;
    co_return Outcome(std::move(error));
  }
  const ErrorAction action = DecideOnError(error, step, looked_after_refusal_, Now());
  if (action.recovery == Recovery::kLook) {
    looked_after_refusal_ = true;
    const absl::Status looked = co_await Look(context);
    if (looked.ok()) co_return std::nullopt;
    error = looked;
  }
  const std::string message(error.message());
  if (action.recovery == Recovery::kFail) {
    const std::optional<acme::Problem> problem = acme::ProblemOf(error);
    if (problem.has_value()) challenge_.mutable_status()->set_error_type(problem->ShortType());
    absl::Status finished =
        co_await Finish(context, action.failed_state, action.reason, message);
    if (finished.ok()) co_return std::nullopt;
    co_return Outcome(std::move(finished));
  }
  telemetry::LogWarning("challenge is held up",
                        {{"challenge", key_}, {"name", DisplayName()}, {"error", message}});
  GiveSlotBack();
  memory_->authorization_known = false;
  const v1::ChallengeState state = challenge_.status().state();
  Report(state == v1::CHALLENGE_STATE_ACCEPTED ? state : v1::CHALLENGE_STATE_QUEUED,
         action.reason.empty() ? "WaitingForCA" : action.reason, message);
  if (action.recovery == Recovery::kRetryAt) {
    memory_->due = base::MonotonicAt(environment_.clock(), action.wake_at);
    const Action wait{Step::kWait, std::min(action.wake_at, Deadline())};
    absl::StatusOr<controller::Result> suspended = co_await Suspend(context, wait);
    co_return Outcome(std::move(suspended));
  }
  absl::Status saved = co_await SaveNews(context);
  co_return Outcome(saved.ok() ? std::move(error) : std::move(saved));
}

// What a restart has to wait for: not what an event ends.
void ChallengePass::SetNextCheck(const Action& action) {
  v1::ChallengeStatus& status = *challenge_.mutable_status();
  if (memory_->due > MonotonicNow()) {
    *status.mutable_next_check_time() =
        service::ToProto(base::WallAt(environment_.clock(), memory_->due));
  } else if (action.step == Step::kWait && !slot_denied_) {
    *status.mutable_next_check_time() = service::ToProto(action.wake_at);
  } else {
    status.clear_next_check_time();
  }
}

absl::Time ChallengePass::Deadline() const {
  return DeadlineOf(challenge_, config_ == nullptr ? nullptr : &config_->solver);
}

void ChallengePass::GiveSlotBack() {
  memory_->slot_since.reset();
  memory_->checks_in_turn = 0;
  challenge_.mutable_status()->set_processing(false);
  environment_.scheduler.Release(key_);
}

void ChallengePass::Report(v1::ChallengeState state, const std::string& reason,
                           const std::string& message) {
  v1::ChallengeStatus& status = *challenge_.mutable_status();
  status.set_state(state);
  status.set_reason(message);
  service::ConditionUpdate update;
  update.type = "Valid";
  update.status = state == v1::CHALLENGE_STATE_VALID;
  update.reason = reason;
  update.message = message;
  service::SetCondition(*status.mutable_conditions(), update,
                        challenge_.metadata().generation(), Now());
}

ChallengePass::Task ChallengePass::Save(Context context, std::vector<store::Mutation> more) {
  v1::Challenge next = challenge_;
  CW_CO_ASSIGN_OR_RETURN(std::optional<store::Mutation> mutation,
                         environment_.challenges.StatusMutation(stored_, next));
  if (mutation.has_value()) more.push_back(*std::move(mutation));
  if (more.empty()) co_return absl::OkStatus();
  CW_CO_ASSIGN_OR_RETURN(
      const int64_t revision,
      co_await environment_.challenges.store().Commit(context, std::move(more)));
  ChallengeStore::SetRevision(next, revision);
  stored_ = next;
  challenge_ = std::move(next);
  memory_->written = MonotonicNow();
  co_return absl::OkStatus();
}

ChallengePass::Task ChallengePass::SaveNews(Context context) {
  const bool news = !SayTheSame(stored_.status(), challenge_.status());
  if (!news && MonotonicNow() - memory_->written < kWriteInterval) co_return absl::OkStatus();
  co_return co_await Save(std::move(context));
}

std::string ChallengePass::DisplayName() const {
  const v1::ChallengeSpec& spec = challenge_.spec();
  return spec.wildcard() ? absl::StrCat("*.", spec.dns_name()) : spec.dns_name();
}

std::string ChallengePass::Issuer() const {
  return service::IssuerKey(challenge_.spec().issuer_ref(), challenge_.metadata().namespace_());
}

}  // namespace certwright::solver
