// PresentationService: shows the ledger of what was put where CAs look.
//
// Threading: safe from any thread. Lifetime: everything given must outlive the calls.
#pragma once

#include "certwright/solver/v1/presentation.pb.h"
#include "lib/rpc/service.h"
#include "services/solver/challenge_record.h"
#include "services/solver/clean_up_failures.h"

namespace certwright::solver {

class PresentationService final : public rpc::Service {
 public:
  PresentationService(const rpc::CallEnvironment& calls, PresentationStore& presentations,
                      const CleanUpFailures& failures)
      : Service("certwright.solver.v1.PresentationService", calls),
        presentations_(presentations),
        failures_(failures) {
    AddMethods();
  }

  // What the call does.
  runtime::Awaitable<absl::StatusOr<v1::ListPresentationsResponse>> List(
      rpc::CallContext call, v1::ListPresentationsRequest request);

 private:
  void AddMethods();

  PresentationStore& presentations_;
  const CleanUpFailures& failures_;
};

}  // namespace certwright::solver
