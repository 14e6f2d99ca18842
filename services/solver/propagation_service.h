// PropagationService: the self-check of DNS-01 for everybody: it looks and changes nothing.
//
// Threading: safe from any thread. Lifetime: everything given must outlive the calls.
#pragma once

#include "certwright/solver/v1/propagation.pb.h"
#include "lib/dns/propagation.h"
#include "lib/rpc/service.h"
#include "services/solver/dns01_self_check.h"

namespace certwright::solver {

class PropagationService final : public rpc::Service {
 public:
  PropagationService(const rpc::CallEnvironment& calls, dns::PropagationChecker& checker,
                     Dns01CheckOptions options)
      : Service("certwright.solver.v1.PropagationService", calls),
        checker_(checker),
        options_(std::move(options)) {
    AddMethods();
  }

  // What the call does.
  runtime::Awaitable<absl::StatusOr<v1::CheckPropagationResponse>> Check(
      runtime::Context context, v1::CheckPropagationRequest request);

 private:
  void AddMethods();

  dns::PropagationChecker& checker_;
  const Dns01CheckOptions options_;
};

}  // namespace certwright::solver
