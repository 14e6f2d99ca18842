// CleanUpReconciler: works off the ledger: what was put out for a challenge that is finished
// or gone is removed, and then forgotten. Nobody waits for it.
//
// A record is removed by the configuration with which it was put out, if this process has done
// that, and else, or if that fails, by the one that the issuer has now. It tries for as long as
// that takes, and tells of each failure. But there may be nothing to remove: the record was
// never written, or somebody has removed it by hand. So where removal fails an hour after it
// was put out, a record that the zone's nameservers do not have is forgotten.
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
  Task RemoveRecord(runtime::Context context, const ledger::Presentation& presentation);
  Task RemoveWith(runtime::Context context, const ledger::Presentation& presentation,
                  std::shared_ptr<const SolverConfig> config);
  // Whether nobody can see the record, long after it was put out.
  runtime::Awaitable<bool> IsGone(runtime::Context context,
                                  const ledger::Presentation& presentation);
  // Shows in the challenge that its proof is still out.
  Task ReportFailure(runtime::Context context, v1::Challenge challenge,
                     const absl::Status& error);
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
