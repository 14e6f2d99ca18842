#include "services/solver/clean_up_reconciler.h"

#include <utility>

#include "lib/base/fault_point.h"
#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "lib/store/resource_key.h"
#include "lib/telemetry/log.h"

namespace certwright::solver {

using runtime::Awaitable;
using runtime::Context;

namespace {

// Secondary nameservers have a new record long before.
constexpr absl::Duration kLookForAfter = absl::Hours(1);

}  // namespace

Awaitable<absl::StatusOr<controller::Result>> CleanUpReconciler::Reconcile(Context context,
                                                                           std::string key) {
  CW_CO_ASSIGN_OR_RETURN(const store::ResourceName name, store::ParseQueueKey(key));
  const absl::StatusOr<ledger::Presentation> presentation =
      co_await environment_.presentations.Get(context, name.resource_namespace, name.name);
  if (absl::IsNotFound(presentation.status())) co_return controller::Result();
  if (!presentation.ok()) co_return presentation.status();
  const absl::StatusOr<v1::Challenge> challenge = co_await environment_.challenges.Get(
      context, name.resource_namespace, presentation->challenge_name());
  if (!challenge.ok() && !absl::IsNotFound(challenge.status())) co_return challenge.status();
  const bool exists =
      challenge.ok() && challenge->metadata().uid() == presentation->challenge_uid();
  if (exists && !IsFinal(challenge->status().state())) co_return controller::Result();
  base::Reach(base::FaultPoint::kChallengeRemoving);
  absl::Status done = co_await Remove(context, *presentation);
  const bool cut_off = absl::IsAborted(done) || absl::IsCancelled(done);
  if (!cut_off && environment_.on_clean_up) environment_.on_clean_up(*presentation, done);
  if (done.ok()) {
    base::Reach(base::FaultPoint::kChallengeRemoved);
    const v1::Challenge* const cleaned = exists ? &*challenge : nullptr;
    done = co_await Forget(context, *presentation, cleaned);
  } else if (exists && !cut_off) {
    CW_CO_RETURN_IF_ERROR(co_await ReportFailure(context, *challenge, done));
  }
  if (done.ok()) co_return controller::Result();
  if (!absl::IsAborted(done) && !absl::IsCancelled(done)) {
    telemetry::LogWarning("clean-up has to be tried again",
                          {{"challenge", store::QueueKey(name.resource_namespace,
                                                         presentation->challenge_name())},
                           {"record", presentation->record_name()},
                           {"error", done.message()}});
  }
  co_return done;
}

CleanUpReconciler::Task CleanUpReconciler::Remove(Context context,
                                                  const ledger::Presentation& presentation) {
  if (presentation.type() != v1::CHALLENGE_TYPE_DNS01) co_return absl::OkStatus();
  CW_CO_ASSIGN_OR_RETURN(const bool needed, co_await IsNeeded(context, presentation));
  if (needed) co_return absl::OkStatus();
  const absl::Status removed = co_await RemoveRecord(context, presentation);
  if (removed.ok() || !co_await IsGone(context, presentation)) co_return removed;
  telemetry::LogInfo("a record is forgotten that cannot be removed, and is not there",
                     {{"record", presentation.record_name()}, {"error", removed.message()}});
  co_return absl::OkStatus();
}

CleanUpReconciler::Task CleanUpReconciler::RemoveRecord(
    Context context, const ledger::Presentation& presentation) {
  const auto& metadata = presentation.metadata();
  const std::shared_ptr<const SolverConfig> used = environment_.presented_configs.Find(
      store::QueueKey(metadata.namespace_(), metadata.name()));
  absl::Status removed;
  if (used != nullptr) {
    removed = co_await RemoveWith(context, presentation, used);
    if (removed.ok()) co_return removed;
  }
  SolverName name;
  name.issuer_ref = presentation.issuer_ref();
  name.resource_namespace = metadata.namespace_();
  name.solver_name = presentation.solver_name();
  absl::StatusOr<std::shared_ptr<const SolverConfig>> current =
      co_await environment_.configs.Resolve(context, std::move(name));
  if (!current.ok()) co_return used != nullptr ? removed : current.status();
  co_return co_await RemoveWith(context, presentation, *std::move(current));
}

CleanUpReconciler::Task CleanUpReconciler::RemoveWith(
    Context context, const ledger::Presentation& presentation,
    std::shared_ptr<const SolverConfig> config) {
  CW_CO_ASSIGN_OR_RETURN(const std::shared_ptr<Dns01Provider> provider,
                         environment_.providers.Find(std::move(config)));
  Dns01Record record;
  record.name = presentation.record_name();
  record.zone = presentation.zone();
  record.value = presentation.value();
  co_return co_await provider->CleanUp(context, std::move(record));
}

Awaitable<bool> CleanUpReconciler::IsGone(Context context,
                                          const ledger::Presentation& presentation) {
  const absl::Time put_out = service::FromProto(presentation.metadata().create_time());
  if (environment_.Now() - put_out < kLookForAfter) co_return false;
  absl::StatusOr<std::vector<std::string>> nameservers =
      environment_.settings.nameservers.Choose({});
  if (!nameservers.ok()) co_return false;
  RecordLocation location;
  location.name = presentation.record_name();
  location.zone = presentation.zone();
  co_return co_await environment_.locator.IsAbsent(
      context, std::move(location), presentation.value(), *std::move(nameservers));
}

CleanUpReconciler::Task CleanUpReconciler::ReportFailure(Context context,
                                                         v1::Challenge challenge,
                                                         const absl::Status& error) {
  service::ConditionUpdate update;
  update.type = "CleanedUp";
  update.status = false;
  update.reason = "CleanUpFailed";
  update.message = std::string(error.message());
  service::SetCondition(*challenge.mutable_status()->mutable_conditions(), update,
                        challenge.metadata().generation(), environment_.Now());
  const absl::StatusOr<v1::Challenge> updated =
      co_await environment_.challenges.UpdateStatus(context, std::move(challenge));
  co_return updated.status();
}

CleanUpReconciler::Task CleanUpReconciler::Forget(Context context,
                                                  const ledger::Presentation& presentation,
                                                  const v1::Challenge* challenge) {
  std::vector<store::Mutation> mutations;
  mutations.push_back(environment_.presentations.DeleteMutation(presentation));
  if (challenge != nullptr) {
    v1::Challenge cleaned = *challenge;
    cleaned.mutable_status()->set_presented(false);
    service::ConditionUpdate update;
    update.type = "CleanedUp";
    update.status = true;
    update.reason = "CleanedUp";
    update.message = "the proof was removed";
    service::SetCondition(*cleaned.mutable_status()->mutable_conditions(), update,
                          challenge->metadata().generation(), environment_.Now());
    CW_CO_ASSIGN_OR_RETURN(std::optional<store::Mutation> mutation,
                           environment_.challenges.StatusMutation(*challenge, cleaned));
    if (mutation.has_value()) mutations.push_back(*std::move(mutation));
  }
  const absl::StatusOr<int64_t> committed =
      co_await environment_.presentations.store().Commit(context, std::move(mutations));
  if (!committed.ok()) co_return committed.status();
  base::Reach(base::FaultPoint::kChallengeForgotten);
  const std::string record_key =
      store::QueueKey(presentation.metadata().namespace_(), presentation.metadata().name());
  environment_.tokens.Remove(record_key);
  environment_.presented_configs.Forget(record_key);
  co_return absl::OkStatus();
}

Awaitable<absl::StatusOr<bool>> CleanUpReconciler::IsNeeded(
    Context context, const ledger::Presentation& presentation) {
  const auto records = list_records_();
  for (const auto& other : records) {
    if (other->challenge_uid() == presentation.challenge_uid() ||
        other->record_name() != presentation.record_name() ||
        other->value() != presentation.value()) {
      continue;
    }
    const absl::StatusOr<v1::Challenge> challenge = co_await environment_.challenges.Get(
        context, other->metadata().namespace_(), other->challenge_name());
    if (!challenge.ok() && !absl::IsNotFound(challenge.status())) co_return challenge.status();
    if (challenge.ok() && challenge->metadata().uid() == other->challenge_uid() &&
        !IsFinal(challenge->status().state())) {
      co_return true;
    }
  }
  co_return false;
}

}  // namespace certwright::solver
