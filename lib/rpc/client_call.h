// CallUnary: one gRPC call to another service, awaited.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/status.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"

namespace certwright::rpc {

// "CreateOrder at ipv4:127.0.0.1:5001": buf's rules make a method's name follow from its
// request's, and gRPC does not tell it.
template <typename Request>
std::string CallName(absl::string_view peer) {
  absl::string_view method = Request::descriptor()->name();
  absl::ConsumeSuffix(&method, "Request");
  return absl::StrCat(method, " at ", peer);
}

// The response, or the error of the call with its google.rpc details. The call ends with
// `context`: its deadline is sent along, its cancellation cancels the call. Waits for a
// connection that is being made, within the deadline.
//
//   CallUnary(context, stub->async(), &OrderService::StubInterface::async_interface::GetOrder,
//             std::move(request))
template <typename AsyncStub, typename Request, typename Response>
runtime::Awaitable<absl::StatusOr<Response>> CallUnary(
    runtime::Context context, AsyncStub* stub,
    void (AsyncStub::*method)(grpc::ClientContext*, const Request*, Response*,
                              std::function<void(grpc::Status)>),
    Request request) {
  absl::Status started = context.Check();
  if (!started.ok()) co_return started;
  // On the heap until gRPC's callback, which may come after this coroutine is destroyed.
  struct Call {
    grpc::ClientContext context;
    Request request;
    Response response;
  };
  auto call = std::make_shared<Call>();
  call->request = std::move(request);
  call->context.set_deadline(
      absl::ToChronoTime(base::Clock::Real().Now() + context.Remaining()));
  uint64_t registration = 0;
  if (context.cancellation() != nullptr) {
    registration = context.cancellation()->Register([weak = std::weak_ptr<Call>(call)] {
      if (const std::shared_ptr<Call> running = weak.lock()) running->context.TryCancel();
    });
  }
  // Shared, because std::function wants to be copyable.
  struct Pending {
    std::shared_ptr<Call> call;
    absl::AnyInvocable<void(grpc::Status)> done;
  };
  auto start = [&](absl::AnyInvocable<void(grpc::Status)> done) {
    auto pending = std::make_shared<Pending>();
    pending->call = call;
    pending->done = std::move(done);
    (stub->*method)(&call->context, &call->request, &call->response,
                    [pending](grpc::Status status) {
                      // The call holds its channel. If this thread of gRPC's let go of the last
                      // one, it would destroy the queue that it is about to go on reading.
                      pending->call.reset();
                      pending->done(std::move(status));
                    });
  };
  const grpc::Status status = co_await runtime::AwaitCallback<grpc::Status>(std::move(start));
  if (context.cancellation() != nullptr) context.cancellation()->Unregister(registration);
  if (!status.ok()) {
    co_return base::Annotate(FromGrpc(status), CallName<Request>(call->context.peer()));
  }
  co_return std::move(call->response);
}

}  // namespace certwright::rpc
