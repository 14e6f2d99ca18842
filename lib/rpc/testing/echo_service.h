// EchoService: a service whose answers a test decides, a server for it on a free port of
// loopback, and clients of it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/base/status_matchers.h"
#include "lib/rpc/server.h"
#include "lib/rpc/testing/echo.grpc.pb.h"
#include "lib/rpc/unary_handler.h"
#include "lib/rpc/watch_reactor.h"
#include "lib/runtime/thread_pool.h"
#include "lib/runtime/timers.h"

namespace certwright::rpc::testing {

class EchoServiceForTest final : public EchoService::CallbackService {
 public:
  using Watch = WatchReactor<WatchEchoResponse>;
  using EchoHandler = std::function<runtime::Awaitable<absl::StatusOr<EchoResponse>>(
      CallContext call, const EchoRequest& request)>;

  EchoServiceForTest(HandlerEnvironment& environment, runtime::Timers& timers)
      : environment_(environment), timers_(timers) {}

  WatchHub& hub() { return hub_; }
  CallGate& gate() { return *environment_.gate; }

  // Both are set before calls come.
  EchoHandler handler = &EchoServiceForTest::EchoText;
  std::function<void(std::shared_ptr<Watch> watch)> on_watch = [](auto) {};
  Watch::Options watch_options;

  grpc::ServerUnaryReactor* Echo(grpc::CallbackServerContext* context,
                                 const EchoRequest* request, EchoResponse* response) override {
    return HandleUnary(environment_, context, "Echo", request, response, handler);
  }

  grpc::ServerWriteReactor<WatchEchoResponse>* WatchEcho(grpc::CallbackServerContext*,
                                                         const WatchEchoRequest*) override {
    std::shared_ptr<Watch> watch = Watch::Make(timers_, hub_, watch_options);
    on_watch(watch);
    return watch.get();
  }

 private:
  static runtime::Awaitable<absl::StatusOr<EchoResponse>> EchoText(CallContext,
                                                                   const EchoRequest& request) {
    EchoResponse response;
    response.set_text(request.text());
    co_return response;
  }

  HandlerEnvironment& environment_;
  runtime::Timers& timers_;
  WatchHub hub_;
};

class EchoTest : public ::testing::Test {
 protected:
  static constexpr char kService[] = "certwright.rpc.testing.EchoService";

  // Port 0, and whatever a test sets before.
  void StartServer() {
    options.listen_address = "127.0.0.1:0";
    CW_ASSERT_OK_AND_ASSIGN(server, Server::Start(options, {{kService, &service}}));
    server->SetServing(true);
  }

  std::string Address() const { return "127.0.0.1:" + std::to_string(server->port()); }
  std::unique_ptr<EchoService::StubInterface> Stub() const {
    return EchoService::NewStub(
        grpc::CreateChannel(Address(), grpc::InsecureChannelCredentials()));
  }

  // Runs out only if something is broken.
  static runtime::Context LongContext() {
    return runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(60));
  }

  // Order matters: the server ends before what its calls use.
  runtime::ThreadPool pool{2};
  std::unique_ptr<runtime::Timers> timers =
      runtime::MakeAsioTimers(pool.executor(), base::Clock::Real());
  HandlerEnvironment environment{pool.executor(), base::Clock::Real(), nullptr, {}};
  EchoServiceForTest service{environment, *timers};
  ServerOptions options;
  std::unique_ptr<Server> server;
};

}  // namespace certwright::rpc::testing
