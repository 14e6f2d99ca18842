// CleanUpReconciler: works off the ledger: what was put out for a challenge that is finished
// or gone is removed, and then forgotten. It tries for as long as that takes; nobody waits for
// it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/controller/controller.h"
#include "services/solver/solver_environment.h"

namespace certwright::solver {

class CleanUpReconciler final : public controller::Reconciler {
 public:
  // All ledger records that are known now.
  using ListRecords = std::function<std::vector<std::shared_ptr<const ledger::Presentation>>()>;

  // What `environment` names must outlive this.
  CleanUpReconciler(SolverEnvironment environment, ListRecords list_records)
      : environment_(std::move(environment)), list_records_(std::move(list_records)) {}

  // `key` is "<namespace>/<name>" of a ledger record.
  runtime::Awaitable<absl::StatusOr<controller::Result>> Reconcile(runtime::Context context,
                                                                   std::string key) override;

 private:
  using Task = runtime::Awaitable<absl::Status>;

  Task Remove(runtime::Context context, const ledger::Presentation& presentation);
  Task Forget(runtime::Context context, const ledger::Presentation& presentation,
              const v1::Challenge* challenge);
  // Whether a challenge that goes on needs the same value at the same name: as happens where
  // one is created anew for the same authorization.
  runtime::Awaitable<absl::StatusOr<bool>> IsNeeded(runtime::Context context,
                                                    const ledger::Presentation& presentation);

  const SolverEnvironment environment_;
  const ListRecords list_records_;
};

}  // namespace certwright::solver
