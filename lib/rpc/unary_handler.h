// HandleUnary: how a service answers a unary call: the reactor starts a coroutine and sends
// what it returns.
//
//   grpc::ServerUnaryReactor* GetOrder(grpc::CallbackServerContext* context,
//                                      const GetOrderRequest* request,
//                                      GetOrderResponse* response) override {
//     return rpc::HandleUnary(rpc_, context, "GetOrder", request, response,
//         [this](rpc::CallContext call, const GetOrderRequest& request) {
//           return Get(call, request);
//         });
//   }
//
// Deadlines: the client's less 20 ms, so that a timeout within can still be reported; calls
// with less than 100 ms left are refused with DEADLINE_EXCEEDED; without one, 30 s. The
// client's cancellation cancels the coroutine's context. gRPC keeps request and response until
// the coroutine has returned, also after a cancellation.
//
// `handler` is called once and then destroyed: it must call a coroutine, like the member
// function above, and not be one that uses its own captures.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "lib/rpc/access.h"
#include "lib/rpc/audit.h"
#include "lib/rpc/call_gate.h"
#include "lib/rpc/status.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"

namespace certwright::rpc {

// Who calls, and what bounds the call.
struct CallContext {
  runtime::Context context;
  Caller caller = {};
};

// Told of every call that ends. Threading: from any thread.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void OnCall(absl::string_view method, absl::StatusCode code,
                      absl::Duration elapsed) = 0;
};

struct DeadlineOptions {
  absl::Duration when_missing = absl::Seconds(30);
  absl::Duration overhead = absl::Milliseconds(20);
  absl::Duration minimum = absl::Milliseconds(100);
};

// What all handlers of a service share. References must outlive the calls.
struct HandlerEnvironment {
  runtime::Executor executor;
  const base::Clock& clock;
  CallObserver* observer = nullptr;
  DeadlineOptions deadlines;
  // Null: everyone may do everything.
  const Permissions* permissions = nullptr;
  AuditSink* audit = nullptr;
  // Closed when the server drains.
  std::shared_ptr<CallGate> gate = std::make_shared<CallGate>();
};

// The call's context; DEADLINE_EXCEEDED if too little time is left to do anything.
absl::StatusOr<runtime::Context> MakeCallContext(
    const HandlerEnvironment& environment, const grpc::CallbackServerContext& context,
    std::shared_ptr<runtime::Cancellation> cancellation);

Caller IdentifyCaller(const HandlerEnvironment& environment,
                      const grpc::CallbackServerContext& context);

// Whether the caller may make a call that HandleUnary() is not for: a watch. The audit log is
// told here, as a watch has no outcome.
absl::Status Admit(const HandlerEnvironment& environment,
                   const grpc::CallbackServerContext& context,
                   const google::protobuf::Message& request);

// A unary reactor whose one Finish() may come from any thread, once.
class UnaryReactor final : public grpc::ServerUnaryReactor {
 public:
  UnaryReactor(const HandlerEnvironment& environment, std::string method);
  const std::shared_ptr<runtime::Cancellation>& cancellation() const { return cancellation_; }
  // False, with the call completed as UNAVAILABLE, once the server drains.
  bool Admit();
  // False, with the call completed, if the caller may not make it.
  bool Authorize(const Caller& caller, const google::protobuf::Message& request);
  // After this, neither the reactor nor the response may be touched.
  void Complete(const absl::Status& status);

  // Runs `task`, which calls Complete(), on the environment's executor.
  void Run(runtime::Awaitable<void> task);

  void OnCancel() override { cancellation_->Cancel(); }
  void OnDone() override { delete this; }

 private:
  const HandlerEnvironment& environment_;
  const std::string method_;
  const base::MonotonicTime start_;
  bool admitted_ = false;
  // What the audit log is to be told at the end, unless nothing.
  std::optional<AuditRecord> audit_;
  const std::shared_ptr<runtime::Cancellation> cancellation_;
};

// gRPC keeps reactor and response until Finish(), which only Complete() calls, so both are good
// for as long as the coroutine runs, also after a cancellation.
template <typename Response>
runtime::Awaitable<void> CompleteWith(UnaryReactor* reactor, Response* response,
                                      runtime::Awaitable<absl::StatusOr<Response>> task) {
  absl::StatusOr<Response> result = co_await std::move(task);
  if (result.ok()) *response = *std::move(result);
  reactor->Complete(result.status());
}

// `handler(CallContext, Request)` returns Awaitable<absl::StatusOr<Response>>. `environment`
// must outlive the call.
template <typename Request, typename Response, typename Handler>
grpc::ServerUnaryReactor* HandleUnary(const HandlerEnvironment& environment,
                                      grpc::CallbackServerContext* context, std::string method,
                                      const Request* request, Response* response,
                                      Handler handler) {
  auto* reactor = new UnaryReactor(environment, std::move(method));
  if (!reactor->Admit()) return reactor;
  Caller caller = IdentifyCaller(environment, *context);
  if (!reactor->Authorize(caller, *request)) return reactor;
  absl::StatusOr<runtime::Context> call_context =
      MakeCallContext(environment, *context, reactor->cancellation());
  if (!call_context.ok()) {
    reactor->Complete(call_context.status());
    return reactor;
  }
  CallContext call{*std::move(call_context), std::move(caller)};
  reactor->Run(CompleteWith(reactor, response, handler(std::move(call), *request)));
  return reactor;
}

}  // namespace certwright::rpc
