#include "lib/rpc/unary_call.h"

#include <utility>

namespace certwright::rpc {

absl::Status UnaryCall::Admit() {
  // Probes go on asking while the server drains.
  if (method().access == Access::kEveryone) return absl::OkStatus();
  entered_ = gate_->Enter();
  return entered_ ? absl::OkStatus()
                  : absl::UnavailableError("the server is shutting down; try again");
}

void UnaryCall::OnRequest() {
  absl::StatusOr<runtime::Context> context =
      MakeCallContext(environment(), this->context(), cancellation_);
  if (!context.ok()) return Fail(context.status());
  CallContext call{*std::move(context), caller()};
  std::shared_ptr<UnaryCall> self = std::static_pointer_cast<UnaryCall>(shared_from_this());
  runtime::Spawn(executor(), handler_(std::move(self), std::move(call), request()));
}

void UnaryCall::Respond(const google::protobuf::Message& response) { CompleteWith(response); }

void UnaryCall::Fail(const absl::Status& status) { Complete(status); }

void UnaryCall::OnDone() {
  if (entered_) gate_->Leave();
  Call::OnDone();
}

}  // namespace certwright::rpc
