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
#include "lib/rpc/service.h"
#include "lib/rpc/testing/echo.grpc.pb.h"
#include "lib/runtime/thread_pool.h"
#include "lib/runtime/timers.h"

namespace certwright::rpc::testing {

class EchoServiceForTest final : public Service {
 public:
  using EchoHandler = std::function<runtime::Awaitable<absl::StatusOr<EchoResponse>>(
      CallContext call, const EchoRequest& request)>;

  explicit EchoServiceForTest(const CallEnvironment& environment, WatchLimits limits = {})
      : Service("certwright.rpc.testing.EchoService", environment) {
    Unary<EchoRequest>([this](CallContext call, const EchoRequest& request) {
      return handler(std::move(call), request);
    });
    Watch<WatchEchoRequest>([this](std::shared_ptr<WatchCall> watch,
                                   const WatchEchoRequest&) { on_watch(std::move(watch)); },
                            limits);
  }

  // Both are set before calls come.
  EchoHandler handler = &EchoServiceForTest::EchoText;
  std::function<void(std::shared_ptr<WatchCall> watch)> on_watch = [](auto) {};

 private:
  static runtime::Awaitable<absl::StatusOr<EchoResponse>> EchoText(CallContext,
                                                                   const EchoRequest& request) {
    EchoResponse response;
    response.set_text(request.text());
    co_return response;
  }
};

class EchoTest : public ::testing::Test {
 protected:
  static constexpr char kService[] = "certwright.rpc.testing.EchoService";

  // Port 0, and whatever a test sets before.
  void StartServer() {
    options.listen_address = "127.0.0.1:0";
    CW_ASSERT_OK_AND_ASSIGN(server, Server::Start(options, environment, {&service}));
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
  CallEnvironment environment{pool.executor(), *timers};
  EchoServiceForTest service{environment};
  ServerOptions options;
  std::unique_ptr<Server> server;
};

}  // namespace certwright::rpc::testing
