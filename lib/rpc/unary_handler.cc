#include "lib/rpc/unary_handler.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/security/auth_context.h"

namespace certwright::rpc {

absl::StatusOr<runtime::Context> MakeCallContext(
    const HandlerEnvironment& environment, const grpc::CallbackServerContext& context,
    std::shared_ptr<runtime::Cancellation> cancellation) {
  const DeadlineOptions& deadlines = environment.deadlines;
  const auto deadline = context.deadline();
  absl::Duration left = deadlines.when_missing;
  if (deadline != std::chrono::system_clock::time_point::max()) {
    // gRPC's deadlines are on the real wall clock, whatever clock is injected.
    left = absl::FromChrono(deadline) - absl::Now();
    if (left < deadlines.minimum) {
      return absl::DeadlineExceededError(
          absl::StrCat("only ", absl::FormatDuration(std::max(left, absl::ZeroDuration())),
                       " are left before the call's deadline, too little to begin"));
    }
    left -= deadlines.overhead;
  }
  return runtime::Context(environment.clock, environment.clock.MonotonicNow() + left,
                          std::move(cancellation));
}

void ReadIdentities(const grpc::CallbackServerContext& context, CallContext& call) {
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return;
  call.authenticated = true;
  for (const char* property : {"x509_subject_alternative_name", "peer_uri", "peer_dns"}) {
    for (const grpc::string_ref& value : auth->FindPropertyValues(property)) {
      std::string identity(value.data(), value.size());
      if (std::find(call.identities.begin(), call.identities.end(), identity) ==
          call.identities.end()) {
        call.identities.push_back(std::move(identity));
      }
    }
  }
}

UnaryReactor::UnaryReactor(const HandlerEnvironment& environment, std::string method)
    : environment_(environment),
      method_(std::move(method)),
      start_(environment.clock.MonotonicNow()),
      cancellation_(std::make_shared<runtime::Cancellation>()) {}

bool UnaryReactor::Admit() {
  admitted_ = environment_.gate->Enter();
  if (!admitted_) Complete(absl::UnavailableError("the server is shutting down; try again"));
  return admitted_;
}

void UnaryReactor::Run(runtime::Awaitable<void> task) {
  runtime::Spawn(environment_.executor, std::move(task));
}

void UnaryReactor::Complete(const absl::Status& status) {
  if (environment_.observer != nullptr) {
    environment_.observer->OnCall(method_, status.code(),
                                  environment_.clock.MonotonicNow() - start_);
  }
  const std::shared_ptr<CallGate> gate = admitted_ ? environment_.gate : nullptr;
  Finish(ToGrpc(status));
  // From Finish() on, gRPC may have deleted this.
  if (gate != nullptr) gate->Leave();
}

}  // namespace certwright::rpc
