// ChallengeReconciler: brings challenges from their creation to a final state. What it put out
// is removed by the CleanUpReconciler.
#pragma once

#include <memory>
#include <string>

#include "lib/controller/controller.h"
#include "services/solver/challenge_memory.h"
#include "services/solver/solver_environment.h"

namespace certwright::solver {

class ChallengeReconciler final : public controller::Reconciler {
 public:
  // What `environment` names must outlive this.
  explicit ChallengeReconciler(SolverEnvironment environment)
      : environment_(std::move(environment)) {}

  // `key` is "<namespace>/<name>".
  runtime::Awaitable<absl::StatusOr<controller::Result>> Reconcile(runtime::Context context,
                                                                   std::string key) override;

  // The next pass over the challenge waits for nothing that an earlier one asked to wait for.
  // Threading: from any thread.
  void Hurry(const std::string& key) { memories_.Hurry(key); }

 private:
  // It was deleted: nothing may be left of it here.
  void OnGone(const std::string& key, const std::string& resource_namespace,
              const std::string& name);
  std::shared_ptr<ChallengeMemory> Remember(const std::string& key,
                                            const v1::Challenge& challenge);

  const SolverEnvironment environment_;
  ChallengeMemories memories_;
};

}  // namespace certwright::solver
