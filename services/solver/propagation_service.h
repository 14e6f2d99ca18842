// PropagationService: the self-check of DNS-01 for everybody: it looks and changes nothing.
//
// Threading: safe from any thread. Lifetime: everything given must outlive the calls.
#pragma once

#include "certwright/solver/v1/propagation.grpc.pb.h"
#include "lib/dns/propagation.h"
#include "lib/rpc/unary_handler.h"
#include "services/solver/dns01_self_check.h"

namespace certwright::solver {

class PropagationService final : public v1::PropagationService::CallbackService {
 public:
  PropagationService(const rpc::HandlerEnvironment& handlers, dns::PropagationChecker& checker,
                     Dns01CheckOptions options)
      : handlers_(handlers), checker_(checker), options_(std::move(options)) {}

  grpc::ServerUnaryReactor* CheckPropagation(grpc::CallbackServerContext* context,
                                             const v1::CheckPropagationRequest* request,
                                             v1::CheckPropagationResponse* response) override;

  // What the call does.
  runtime::Awaitable<absl::StatusOr<v1::CheckPropagationResponse>> Check(
      runtime::Context context, v1::CheckPropagationRequest request);

 private:
  const rpc::HandlerEnvironment& handlers_;
  dns::PropagationChecker& checker_;
  const Dns01CheckOptions options_;
};

}  // namespace certwright::solver
