// UnaryCall: a call with one request and one response: a coroutine makes the one of the other.
//
// Deadlines: the client's less 20 ms, so that a timeout within can still be reported; calls
// with less than 100 ms left are refused with DEADLINE_EXCEEDED; without one, 30 s. The
// client's cancellation cancels the coroutine's context.
#pragma once

#include <functional>
#include <memory>

#include "lib/rpc/call.h"

namespace certwright::rpc {

class UnaryCall final : public Call {
 public:
  // Calls Respond() or Fail() once. The call and its request live until the coroutine ends.
  using Handler = std::function<runtime::Awaitable<void>(
      std::shared_ptr<UnaryCall> call, CallContext context,
      const google::protobuf::Message& request)>;

  UnaryCall(const CallEnvironment& environment, const Method& method, const Handler& handler)
      : Call(environment, method), handler_(handler), gate_(environment.gate) {}

  void Respond(const google::protobuf::Message& response);
  void Fail(const absl::Status& status);

  void OnCancel() override { cancellation_->Cancel(); }

 private:
  absl::Status Admit() override;
  void OnRequest() override;
  void OnDone() override;

  const Handler& handler_;
  const std::shared_ptr<CallGate> gate_;
  const std::shared_ptr<runtime::Cancellation> cancellation_ =
      std::make_shared<runtime::Cancellation>();
  bool entered_ = false;
};

}  // namespace certwright::rpc
