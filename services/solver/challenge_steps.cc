// The steps of a pass.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/acme/poll.h"
#include "lib/base/fault_point.h"
#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "lib/store/resource_key.h"
#include "lib/telemetry/log.h"
#include "services/solver/challenge_pass.h"
#include "services/solver/dns01_self_check.h"
#include "services/solver/record_location.h"

namespace certwright::solver {
namespace {

using runtime::Context;

constexpr uint32_t kDefaultTtl = 60;
constexpr int64_t kMaxTtl = 86'400;

}  // namespace

ChallengePass::Task ChallengePass::ResolveSolver(Context context) {
  SolverName name;
  name.issuer_ref = challenge_.spec().issuer_ref();
  name.resource_namespace = challenge_.metadata().namespace_();
  name.solver_name = challenge_.spec().solver_name();
  absl::StatusOr<std::shared_ptr<const SolverConfig>> config =
      co_await environment_.configs.Resolve(context, std::move(name));
  const bool accepted = challenge_.status().state() == v1::CHALLENGE_STATE_ACCEPTED;
  if (!config.ok() && accepted) {
    // The CA is looking: nothing more depends on it.
    solver_unknown_ = true;
    co_return absl::OkStatus();
  }
  if (!config.ok()) co_return config.status();
  if (accepted) {
    config_ = *std::move(config);
    co_return absl::OkStatus();
  }
  co_return UseConfig(*std::move(config));
}

absl::Status ChallengePass::UseConfig(std::shared_ptr<const SolverConfig> config) {
  const v1::ChallengeSpec& spec = challenge_.spec();
  if (IsDns01() != config->solver.has_dns01() || !(IsDns01() || config->solver.has_http01())) {
    return absl::UnimplementedError(absl::StrCat("solver ", spec.solver_name(), " of ",
                                                 Issuer(), " is not for ",
                                                 IsDns01() ? "DNS-01" : "HTTP-01"));
  }
  if (!IsDns01() && !environment_.settings.http01_enabled) {
    return absl::UnimplementedError(
        "this solver service has no listener for HTTP-01: set http01Listen in its "
        "configuration");
  }
  if (IsDns01()) {
    CW_ASSIGN_OR_RETURN(provider_, environment_.providers.Find(config));
  }
  config_ = std::move(config);
  return absl::OkStatus();
}

ChallengePass::Task ChallengePass::Locate(Context context) {
  const issuer::v1::AcmeSolver& solver = config_->solver;
  CW_CO_ASSIGN_OR_RETURN(
      std::vector<std::string> nameservers,
      environment_.settings.nameservers.Choose(solver.self_check().nameservers()));
  CW_CO_ASSIGN_OR_RETURN(RecordLocation location, co_await environment_.locator.Locate(
                                                      context, challenge_.spec().dns_name(),
                                                      solver, std::move(nameservers)));
  challenge_.mutable_status()->set_resolved_name(std::move(location.name));
  challenge_.mutable_status()->set_resolved_zone(std::move(location.zone));
  co_return absl::OkStatus();
}

absl::Status ChallengePass::Acquire() {
  Candidate candidate;
  candidate.key = key_;
  candidate.issuer = Issuer();
  candidate.deadline = Deadline();
  if (provider_ != nullptr) {
    candidate.account = provider_->account();
    if (provider_->capabilities().max_values_per_name == 1) {
      candidate.exclusion =
          absl::StrCat(candidate.account, " ", challenge_.status().resolved_name());
    }
  }
  if (!environment_.scheduler.TryAcquire(candidate)) {
    slot_denied_ = true;
    Report(v1::CHALLENGE_STATE_QUEUED, "Queued", "waiting for a slot of the scheduler");
    return absl::OkStatus();
  }
  memory_->slot_since = MonotonicNow();
  memory_->checks_in_turn = 0;
  challenge_.mutable_status()->set_processing(true);
  Report(v1::CHALLENGE_STATE_SCHEDULED, "Presenting", "putting the proof out");
  return absl::OkStatus();
}

ChallengePass::Task ChallengePass::Look(Context context) {
  memory_->last_look_taken = Now() >= Deadline();
  const absl::StatusOr<acme::Authorization> authorization =
      co_await (*authority_)->GetAuthorization(context, challenge_.spec().authorization_url());
  if (!authorization.ok()) co_return authorization.status();
  memory_->authorization_known = true;
  co_return co_await Judge(context, *authorization);
}

ChallengePass::Task ChallengePass::Present(Context context) {
  const bool is_first = !challenge_.status().presented();
  if (is_first) {
    CW_CO_RETURN_IF_ERROR(co_await CommitIntent(context));
  }
  base::Reach(base::FaultPoint::kChallengeIntentStored);
  const absl::Status put_out = co_await PutOut(context);
  // An earlier attempt may have had more effect than it is known of.
  if (is_first && NothingChanged(put_out)) {
    CW_CO_RETURN_IF_ERROR(co_await WithdrawIntent(context));
  }
  CW_CO_RETURN_IF_ERROR(put_out);
  base::Reach(base::FaultPoint::kChallengePresented);
  const absl::Time now = Now();
  if (!memory_->put_out_time.has_value()) {
    *challenge_.mutable_status()->mutable_presented_time() = service::ToProto(now);
  }
  memory_->put_out_time = MonotonicNow();
  Report(v1::CHALLENGE_STATE_PRESENTED, "WaitingForPropagation",
         challenge_.status().reason().empty() || memory_->checks_in_turn == 0
             ? "the proof is out and has not been seen yet"
             : challenge_.status().reason());
  co_return absl::OkStatus();
}

// From here on the ledger knows what has to be removed, whatever happens.
ChallengePass::Task ChallengePass::CommitIntent(Context context) {
  v1::ChallengeStatus& status = *challenge_.mutable_status();
  status.set_presented(true);
  *status.mutable_presented_time() = service::ToProto(Now());
  ledger::Presentation presentation = MakePresentation(challenge_);
  CW_CO_ASSIGN_OR_RETURN(store::Mutation record,
                         environment_.presentations.CreateMutation(presentation));
  std::vector<store::Mutation> more;
  more.push_back(std::move(record));
  base::Reach(base::FaultPoint::kChallengePresenting);
  absl::Status committed = co_await Save(context, std::move(more));
  if (!committed.ok()) challenge_ = stored_;
  co_return committed;
}

// There is nothing to be removed, and the next attempt looks anew where the record goes.
ChallengePass::Task ChallengePass::WithdrawIntent(Context context) {
  const std::string record_key = PresentationKeyOf(challenge_);
  CW_CO_ASSIGN_OR_RETURN(const store::ResourceName record, store::ParseQueueKey(record_key));
  CW_CO_ASSIGN_OR_RETURN(
      const ledger::Presentation presentation,
      co_await environment_.presentations.Get(context, record.resource_namespace, record.name));
  v1::ChallengeStatus& status = *challenge_.mutable_status();
  status.set_presented(false);
  status.clear_resolved_name();
  status.clear_resolved_zone();
  std::vector<store::Mutation> more;
  more.push_back(environment_.presentations.DeleteMutation(presentation));
  const absl::Status committed = co_await Save(context, std::move(more));
  if (!committed.ok()) {
    challenge_ = stored_;
    co_return committed;
  }
  environment_.presented_configs.Forget(record_key);
  co_return absl::OkStatus();
}

ChallengePass::Task ChallengePass::PutOut(Context context) {
  if (!IsDns01()) {
    environment_.tokens.Add(PresentationKeyOf(challenge_), MakePresentation(challenge_));
    co_return absl::OkStatus();
  }
  Dns01Record record;
  record.name = challenge_.status().resolved_name();
  record.zone = challenge_.status().resolved_zone();
  record.value = challenge_.spec().key();
  const int64_t ttl = config_->solver.dns01().ttl().seconds();
  record.ttl_seconds = ttl > 0 ? static_cast<uint32_t>(std::min(ttl, kMaxTtl)) : kDefaultTtl;
  environment_.presented_configs.Keep(PresentationKeyOf(challenge_), config_);
  absl::Status status = co_await provider_->Present(context, std::move(record));
  const std::string own_name = ChallengeRecordName(challenge_.spec().dns_name());
  const std::string& name = challenge_.status().resolved_name();
  if (name == own_name) co_return status;
  co_return base::Annotate(status, DescribeAlias(own_name, name));
}

ChallengePass::Task ChallengePass::Check(Context context) {
  absl::StatusOr<SelfCheckResult> result = co_await check().Check(context, challenge_, config_);
  CW_CO_RETURN_IF_ERROR(context.Check());
  v1::ChallengeStatus& status = *challenge_.mutable_status();
  status.set_checks(++memory_->checks);
  const absl::Duration delay = CheckDelay(memory_->checks_in_turn++, environment_.random);
  status.clear_propagation();
  if (!result.ok()) {
    memory_->due = MonotonicNow() + delay;
    Report(v1::CHALLENGE_STATE_PRESENTED, "WaitingForPropagation",
           absl::StrCat("the self-check failed: ", result.status().message()));
    co_return absl::OkStatus();
  }
  for (v1::PropagationFinding& finding : result->findings) {
    *status.add_propagation() = std::move(finding);
  }
  if (result->found) {
    memory_->found_at = MonotonicNow();
    Report(v1::CHALLENGE_STATE_PROPAGATED, "WaitingForCA", "the proof can be seen");
  } else {
    memory_->due = MonotonicNow() + delay;
    Report(v1::CHALLENGE_STATE_PRESENTED, "WaitingForPropagation", result->reason);
  }
  co_return absl::OkStatus();
}

ChallengePass::Task ChallengePass::Accept(Context context) {
  base::Reach(base::FaultPoint::kChallengeAccepting);
  const absl::StatusOr<acme::Challenge> accepted =
      co_await (*authority_)->AcceptChallenge(context, challenge_.spec().url());
  if (!accepted.ok() && acme::ClassOf(accepted.status()) != acme::ErrorClass::kAlreadyDone) {
    co_return accepted.status();
  }
  base::Reach(base::FaultPoint::kChallengeAccepted);
  Report(v1::CHALLENGE_STATE_ACCEPTED, "WaitingForCA", "the CA is looking for the proof");
  memory_->polls = 0;
  const bool decided = accepted.ok() && (accepted->status == acme::ChallengeStatus::kValid ||
                                         accepted->status == acme::ChallengeStatus::kInvalid);
  if (!decided) {
    memory_->due = MonotonicNow() +
                   acme::NextPollDelay(0, accepted.ok() ? accepted->retry_at : std::nullopt,
                                       Now(), environment_.random);
  }
  co_return absl::OkStatus();
}

ChallengePass::Task ChallengePass::Poll(Context context) {
  if (!memory_->slot_since.has_value()) {
    Candidate candidate;
    candidate.key = key_;
    candidate.issuer = Issuer();
    environment_.scheduler.Hold(candidate);
    memory_->slot_since = MonotonicNow();
  }
  memory_->last_look_taken = Now() >= Deadline();
  const absl::StatusOr<acme::Authorization> authorization =
      co_await (*authority_)->GetAuthorization(context, challenge_.spec().authorization_url());
  if (!authorization.ok()) co_return authorization.status();
  memory_->due = MonotonicNow() + acme::NextPollDelay(++memory_->polls, authorization->retry_at,
                                                      Now(), environment_.random);
  co_return co_await Judge(context, *authorization);
}

ChallengePass::Task ChallengePass::Judge(Context context,
                                         const acme::Authorization& authorization) {
  std::optional<acme::Problem> error;
  switch (authorization.status) {
    case acme::AuthorizationStatus::kValid:
      co_return co_await Finish(context, v1::CHALLENGE_STATE_VALID, "Valid", "");
    case acme::AuthorizationStatus::kInvalid:
      error = authorization.Error();
      co_return co_await Refused(context, error);
    case acme::AuthorizationStatus::kExpired:
      co_return co_await Finish(context, v1::CHALLENGE_STATE_EXPIRED, "Expired",
                                "the authorization has expired at the CA");
    case acme::AuthorizationStatus::kDeactivated:
    case acme::AuthorizationStatus::kRevoked:
      co_return co_await Finish(
          context, v1::CHALLENGE_STATE_INVALID, "Invalid",
          absl::StrCat("the authorization is ", acme::StatusName(authorization.status),
                       " at the CA"));
    case acme::AuthorizationStatus::kPending:
      break;
  }
  if (challenge_.status().state() == v1::CHALLENGE_STATE_ACCEPTED) co_return absl::OkStatus();
  for (const acme::Challenge& offered : authorization.challenges) {
    if (offered.url != challenge_.spec().url()) continue;
    if (offered.status == acme::ChallengeStatus::kInvalid) {
      co_return co_await Refused(context, offered.error);
    }
    if (offered.status != acme::ChallengeStatus::kPending) {
      // It was told before a restart.
      Report(v1::CHALLENGE_STATE_ACCEPTED, "WaitingForCA", "the CA is looking for the proof");
    }
  }
  co_return absl::OkStatus();
}

ChallengePass::Task ChallengePass::Refused(Context context,
                                           const std::optional<acme::Problem>& problem) {
  if (problem.has_value()) challenge_.mutable_status()->set_error_type(problem->ShortType());
  // Named first: GCC 12 destroys the temporaries of a conditional in a co_await twice.
  std::string message = absl::StrCat("the CA did not accept the proof for ", DisplayName());
  if (problem.has_value()) absl::StrAppend(&message, ": ", problem->Describe());
  co_return co_await Finish(context, v1::CHALLENGE_STATE_INVALID, "Invalid",
                            std::move(message));
}

ChallengePass::Task ChallengePass::Expire(Context context) {
  const v1::ChallengeStatus& status = challenge_.status();
  const bool accepted = status.state() == v1::CHALLENGE_STATE_ACCEPTED;
  std::string message =
      accepted ? "the CA did not decide in time" : "it was not proven in time";
  if (!status.reason().empty()) absl::StrAppend(&message, "; last: ", status.reason());
  co_return co_await Finish(context, v1::CHALLENGE_STATE_EXPIRED, "Expired",
                            std::move(message));
}

ChallengePass::Task ChallengePass::Delete(Context context) {
  const auto& metadata = challenge_.metadata();
  const absl::Status deleted = co_await environment_.challenges.Delete(
      context, metadata.namespace_(), metadata.name(), metadata.resource_version());
  deleted_ = deleted.ok() || absl::IsNotFound(deleted);
  co_return deleted_ ? absl::OkStatus() : deleted;
}

ChallengePass::Task ChallengePass::Finish(Context context, v1::ChallengeState state,
                                          std::string reason, std::string message) {
  v1::ChallengeStatus& status = *challenge_.mutable_status();
  Report(state, reason, message);
  status.set_processing(false);
  *status.mutable_next_check_time() = service::ToProto(Now() + environment_.settings.retention);
  base::Reach(base::FaultPoint::kChallengeFinishing);
  const absl::Status saved = co_await Save(context);
  if (!saved.ok()) {
    challenge_ = stored_;
    co_return saved;
  }
  base::Reach(base::FaultPoint::kChallengeFinished);
  GiveSlotBack();
  if (state != v1::CHALLENGE_STATE_VALID) {
    telemetry::LogWarning("challenge failed",
                          {{"challenge", key_}, {"name", DisplayName()}, {"reason", message}});
  }
  if (environment_.on_final) environment_.on_final(challenge_);
  co_return absl::OkStatus();
}

}  // namespace certwright::solver
