#include "services/solver/challenge_reconciler.h"

#include <utility>

#include "lib/base/clock_conversion.h"
#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "lib/store/resource_key.h"
#include "services/solver/challenge_pass.h"

namespace certwright::solver {

runtime::Awaitable<absl::StatusOr<controller::Result>> ChallengeReconciler::Reconcile(
    runtime::Context context, std::string key) {
  CW_CO_ASSIGN_OR_RETURN(const store::ResourceName name, store::ParseQueueKey(key));
  absl::StatusOr<v1::Challenge> challenge =
      co_await environment_.challenges.Get(context, name.resource_namespace, name.name);
  if (absl::IsNotFound(challenge.status())) {
    OnGone(key, name.resource_namespace, name.name);
    co_return controller::Result();
  }
  if (!challenge.ok()) co_return challenge.status();
  const std::shared_ptr<ChallengeMemory> memory = Remember(key, *challenge);
  ChallengePass pass(environment_, memory, *std::move(challenge));
  absl::StatusOr<controller::Result> result = co_await pass.Run(context);
  if (IsFinal(pass.challenge().status().state())) memories_.Forget(key);
  co_return result;
}

std::shared_ptr<ChallengeMemory> ChallengeReconciler::Remember(const std::string& key,
                                                               const v1::Challenge& challenge) {
  const v1::ChallengeStatus& status = challenge.status();
  bool is_new = false;
  std::shared_ptr<ChallengeMemory> memory =
      memories_.Get(key, challenge.metadata().uid(), is_new);
  if (is_new) {
    // An earlier challenge of that name may have a slot.
    environment_.scheduler.Release(key);
    // The order service reads the authorization right before it creates a challenge.
    memory->authorization_known = status.state() == v1::CHALLENGE_STATE_UNSPECIFIED;
    memory->checks = status.checks();
    // What was written down under a clock that has been set back since says nothing.
    const bool in_order =
        service::FromProto(challenge.metadata().create_time()) <= environment_.Now();
    if (status.has_next_check_time() && in_order) {
      memory->due =
          base::MonotonicAt(environment_.clock(), service::FromProto(status.next_check_time()));
    }
  }
  if (memory->hurry.exchange(false)) {
    memory->due = kLongAgo;
    memory->turns = 0;
  }
  return memory;
}

void ChallengeReconciler::OnGone(const std::string& key, const std::string& resource_namespace,
                                 const std::string& name) {
  environment_.scheduler.Release(key);
  const std::string uid = memories_.Forget(key);
  if (uid.empty()) return;
  environment_.tokens.Remove(store::QueueKey(resource_namespace, PresentationName(name, uid)));
}

}  // namespace certwright::solver
