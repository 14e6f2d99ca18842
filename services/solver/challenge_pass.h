// ChallengePass: one pass over one challenge: as many steps as can be taken without a long
// wait.
//
// What a healthy challenge costs: one commit before its proof is put out (the intent, with the
// ledger record) and one when the CA has decided. Others only where it has to wait: for a slot,
// for propagation, for the CA.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/controller/controller.h"
#include "services/solver/challenge_decision.h"
#include "services/solver/challenge_memory.h"
#include "services/solver/solver_environment.h"

namespace certwright::solver {

class ChallengePass {
 public:
  // `environment` must outlive it. `challenge` is as stored.
  ChallengePass(const SolverEnvironment& environment, std::shared_ptr<ChallengeMemory> memory,
                v1::Challenge challenge);

  runtime::Awaitable<absl::StatusOr<controller::Result>> Run(runtime::Context context);

  // As it is now, after Run() as it is stored.
  const v1::Challenge& challenge() const { return stored_; }

 private:
  using Task = runtime::Awaitable<absl::Status>;

  Snapshot MakeSnapshot() const;
  Task Take(runtime::Context context, Step step);

  Task ResolveSolver(runtime::Context context);
  absl::Status UseConfig(std::shared_ptr<const SolverConfig> config);
  Task Locate(runtime::Context context);
  absl::Status Acquire();
  Task Look(runtime::Context context);
  Task Present(runtime::Context context);
  Task CommitIntent(runtime::Context context);
  Task WithdrawIntent(runtime::Context context);
  Task PutOut(runtime::Context context);
  Task Check(runtime::Context context);
  Task Accept(runtime::Context context);
  Task Poll(runtime::Context context);
  Task Expire(runtime::Context context);
  Task Delete(runtime::Context context);

  // What the CA says about the authorization; finishes the challenge if that decides.
  Task Judge(runtime::Context context, const acme::Authorization& authorization);
  Task Finish(runtime::Context context, v1::ChallengeState state, std::string reason,
              std::string message);
  Task Refused(runtime::Context context, const std::optional<acme::Problem>& problem);

  // Ends the pass until action.wake_at or an event.
  runtime::Awaitable<absl::StatusOr<controller::Result>> Suspend(runtime::Context context,
                                                                 Action action);
  // Ends the pass, or makes up for the error (then there is no result).
  runtime::Awaitable<std::optional<absl::StatusOr<controller::Result>>> OnError(
      runtime::Context context, Step step, absl::Status error);

  void SetNextCheck(const Action& action);
  absl::Time Deadline() const;
  void GiveSlotBack();
  // State, sentence and condition of the working copy.
  void Report(v1::ChallengeState state, const std::string& reason, const std::string& message);
  // Writes the status if something of it has changed, with `more` in the same commit.
  Task Save(runtime::Context context, std::vector<store::Mutation> more = {});
  // The same, but leaves out what is worth no write yet.
  Task SaveNews(runtime::Context context);

  absl::Time Now() const { return environment_.Now(); }
  base::MonotonicTime MonotonicNow() const { return environment_.clock().MonotonicNow(); }
  std::optional<absl::Time> WallAt(const std::optional<base::MonotonicTime>& time) const;
  std::string Issuer() const;
  // The name, with "*." for a wildcard.
  std::string DisplayName() const;
  bool IsDns01() const { return challenge_.spec().type() == v1::CHALLENGE_TYPE_DNS01; }
  SelfCheck& check() const {
    return IsDns01() ? environment_.dns01_check : environment_.http01_check;
  }

  const SolverEnvironment& environment_;
  const std::shared_ptr<ChallengeMemory> memory_;
  const std::string key_;
  v1::Challenge stored_;
  v1::Challenge challenge_;  // the working copy

  absl::StatusOr<std::shared_ptr<CertificateAuthority>> authority_;
  std::shared_ptr<const SolverConfig> config_;
  std::shared_ptr<Dns01Provider> provider_;  // only of DNS-01
  bool solver_unknown_ = false;
  bool slot_denied_ = false;
  bool looked_after_refusal_ = false;
  bool deleted_ = false;
};

// Whether two statuses say the same but for counters and times.
bool SayTheSame(const v1::ChallengeStatus& a, const v1::ChallengeStatus& b);

}  // namespace certwright::solver
