// Service: one gRPC service: its methods, by their paths.
//
//   class SecretRpc final : public rpc::Service {
//     SecretRpc(const rpc::CallEnvironment& calls) : Service("pkg.SecretService", calls) {
//       Unary<GetSecretRequest>([this](rpc::CallContext call, const auto& request) {
//         return Get(std::move(call), request);
//       });
//
// A method is told by the type of its request, which no two methods of one shape share.
//
// Threading: built by one thread, then immutable. Lifetime: longer than its calls.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "google/protobuf/descriptor.h"
#include "lib/rpc/call.h"
#include "lib/rpc/unary_call.h"
#include "lib/rpc/watch_call.h"

namespace certwright::rpc {

class Service {
 public:
  // `full_name` is of a service in a .proto that is linked; `environment` must outlive this.
  Service(std::string full_name, const CallEnvironment& environment,
          Access access = Access::kByRule);
  virtual ~Service() = default;
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  const std::string& name() const { return name_; }

  // A call of the method at `path` ("/pkg.SecretService/GetSecret"), not begun; null if there
  // is none here.
  std::shared_ptr<Call> NewCall(const std::string& path) const;

 protected:
  // `handler(CallContext, const Request&)` returns Awaitable<absl::StatusOr<Response>>. The
  // request lives until the coroutine ends.
  template <typename Request, typename Handler>
  void Unary(Handler handler);

  // `handler(std::shared_ptr<WatchCall>, const Request&)` arranges for what the watch is fed
  // by.
  template <typename Request, typename Handler>
  void Watch(Handler handler, WatchLimits limits = {});

  enum class Shape { kUnary, kWatch, kStreams };
  using NewCallFunction = std::function<std::shared_ptr<Call>(const Method& method)>;
  // Ends the process if the service has no method of that shape for that request.
  void Add(Shape shape, const google::protobuf::Message& request, NewCallFunction new_call);

  const CallEnvironment& environment() const { return environment_; }

 private:
  static Shape ShapeOf(const google::protobuf::MethodDescriptor& method);

  struct Entry {
    Method method;
    NewCallFunction new_call;
  };

  const std::string name_;
  const CallEnvironment& environment_;
  const Access access_;
  std::map<std::string, Entry, std::less<>> methods_;
};

namespace internal {

template <typename Response>
runtime::Awaitable<void> RespondWith(std::shared_ptr<UnaryCall> call,
                                     runtime::Awaitable<absl::StatusOr<Response>> task) {
  const absl::StatusOr<Response> result = co_await std::move(task);
  if (result.ok()) {
    call->Respond(*result);
  } else {
    call->Fail(result.status());
  }
}

}  // namespace internal

template <typename Request, typename Handler>
void Service::Unary(Handler handler) {
  auto typed = [handler = std::move(handler)](std::shared_ptr<UnaryCall> call,
                                              CallContext context,
                                              const google::protobuf::Message& request) {
    return internal::RespondWith(
        std::move(call), handler(std::move(context), static_cast<const Request&>(request)));
  };
  Add(Shape::kUnary, Request::default_instance(),
      [this, shared = std::make_shared<const UnaryCall::Handler>(std::move(typed))](
          const Method& method) {
        return std::make_shared<UnaryCall>(environment_, method, *shared);
      });
}

template <typename Request, typename Handler>
void Service::Watch(Handler handler, WatchLimits limits) {
  auto typed = [handler = std::move(handler)](std::shared_ptr<WatchCall> watch,
                                              const google::protobuf::Message& request) {
    handler(std::move(watch), static_cast<const Request&>(request));
  };
  Add(Shape::kWatch, Request::default_instance(),
      [this, limits, shared = std::make_shared<const WatchCall::Handler>(std::move(typed))](
          const Method& method) {
        return std::make_shared<WatchCall>(environment_, method, *shared, limits);
      });
}

}  // namespace certwright::rpc
