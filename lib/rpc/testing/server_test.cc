#include "lib/rpc/server.h"

#include <signal.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/rpc/testing/echo_service.h"

namespace certwright::rpc::testing {
namespace {

using base::StatusIs;
using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ServerTest : public EchoTest {
 protected:
  static std::shared_ptr<grpc::Channel> ChannelTo(int port) {
    return grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                               grpc::InsecureChannelCredentials());
  }

  // The state of `name`, or nothing if the server does not know it.
  static HealthCheckResponse::ServingStatus HealthOf(int port, const std::string& name) {
    const auto stub = Health::NewStub(ChannelTo(port));
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(name);
    HealthCheckResponse response;
    const grpc::Status status = stub->Check(&context, request, &response);
    return status.ok() ? response.status() : HealthCheckResponse::SERVICE_UNKNOWN;
  }

  // The answer of gRPC reflection to "which file defines `symbol`?".
  std::pair<grpc::Status, std::string> Reflect(const std::string& symbol) {
    grpc::GenericStub stub(ChannelTo(server->port()));
    // ServerReflectionRequest.file_containing_symbol is field 4.
    const std::string bytes = std::string("\x22") + static_cast<char>(symbol.size()) + symbol;
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::ClientContext context;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                   grpc::StubOptions(), &request, &response,
                   [&done](grpc::Status status) { done.set_value(std::move(status)); });
    const grpc::Status status = done.get_future().get();
    grpc::Slice answer;
    if (status.ok() && !response.DumpToSingleSlice(&answer).ok()) ADD_FAILURE();
    return {status, std::string(reinterpret_cast<const char*>(answer.begin()), answer.size())};
  }
};

TEST_F(ServerTest, APortInUseIsAnError) {
  StartServer();
  ServerOptions second = options;
  second.listen_address = Address();
  EchoServiceForTest other(environment);
  EXPECT_THAT(Server::Start(second, environment, {&other}),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       AllOf(HasSubstr(Address()), HasSubstr("in use"))));
}

TEST_F(ServerTest, AHealthPortInUseIsAnErrorToo) {
  StartServer();
  ServerOptions second = options;
  second.health_address = Address();
  EchoServiceForTest other(environment);
  EXPECT_THAT(Server::Start(second, environment, {&other}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr(Address())));
}

TEST_F(ServerTest, AnAddressThatIsNoneIsAnError) {
  options.listen_address = "nonsense";
  EXPECT_THAT(Server::Start(options, environment, {&service}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nonsense")));
}

TEST_F(ServerTest, AMethodWithoutAPermissionKeepsTheServerFromStarting) {
  const std::string prefix = std::string(kService) + ".";
  PermissionTable table = {{prefix + "Echo", {.scope = Scope::kCluster}}};
  CW_ASSERT_OK_AND_ASSIGN(auto permissions, Permissions::Make({}, table));
  options.listen_address = "127.0.0.1:0";
  environment.permissions = permissions.get();
  EXPECT_THAT(Server::Start(options, environment, {&service}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("WatchEcho")));
  table[prefix + "WatchEcho"] = {.scope = Scope::kCluster};
  CW_ASSERT_OK_AND_ASSIGN(permissions, Permissions::Make({}, table));
  environment.permissions = permissions.get();
  CW_EXPECT_OK(Server::Start(options, environment, {&service}));
}

TEST_F(ServerTest, HealthFollowsSetServingOnBothPorts) {
  options.health_address = "127.0.0.1:0";
  ASSERT_NO_FATAL_FAILURE(StartServer());
  ASSERT_NE(server->health_port(), 0);
  for (const int port : {server->port(), server->health_port()}) {
    for (const std::string name : {"", kService}) {
      EXPECT_EQ(HealthOf(port, name), HealthCheckResponse::SERVING) << port << name;
    }
    EXPECT_EQ(HealthOf(port, "unknown.Service"), HealthCheckResponse::SERVICE_UNKNOWN);
  }
  server->SetServing(false);
  for (const int port : {server->port(), server->health_port()}) {
    EXPECT_EQ(HealthOf(port, ""), HealthCheckResponse::NOT_SERVING);
    EXPECT_EQ(HealthOf(port, kService), HealthCheckResponse::NOT_SERVING);
  }
}

TEST_F(ServerTest, AServerIsNotServingBeforeItSaysSo) {
  options.listen_address = "127.0.0.1:0";
  CW_ASSERT_OK_AND_ASSIGN(server, Server::Start(options, environment, {&service}));
  EXPECT_EQ(HealthOf(server->port(), kService), HealthCheckResponse::NOT_SERVING);
}

TEST_F(ServerTest, TheHealthPortServesNothingElse) {
  options.health_address = "127.0.0.1:0";
  ASSERT_NO_FATAL_FAILURE(StartServer());
  const auto stub = EchoService::NewStub(ChannelTo(server->health_port()));
  grpc::ClientContext context;
  EchoResponse response;
  EXPECT_EQ(stub->Echo(&context, EchoRequest(), &response).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(ServerTest, ReflectionShowsOurServicesAndHealth) {
  StartServer();
  const auto echo = Reflect(kService);
  EXPECT_TRUE(echo.first.ok()) << echo.first.error_message();
  EXPECT_THAT(echo.second, HasSubstr("echo.proto"));
  EXPECT_THAT(Reflect("grpc.health.v1.Health").second, HasSubstr("health.proto"));
}

TEST_F(ServerTest, ReflectionCanBeTurnedOff) {
  options.reflection = false;
  StartServer();
  EXPECT_EQ(Reflect(kService).first.error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(ServerTest, ARequestThatIsTooLargeIsRefused) {
  options.limits.max_message_bytes = 1000;
  StartServer();
  grpc::ClientContext context;
  EchoRequest request;
  request.set_text(std::string(2000, 'x'));
  EchoResponse response;
  EXPECT_EQ(Stub()->Echo(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ServerTest, AFieldThatIsNotKnownIsRefused) {
  StartServer();
  grpc::ClientContext context;
  EchoRequest request;
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(77, 1);
  EchoResponse response;
  const grpc::Status status = Stub()->Echo(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("field number 77"));
}

TEST_F(ServerTest, NoLargeAnswerIsMadeWhenTooMuchWaitsForClients) {
  *environment.answer_bytes = 24 << 20;
  StartServer();
  const auto echo = [this](std::size_t bytes) {
    grpc::ClientContext context;
    EchoRequest request;
    request.set_text(std::string(bytes, 'x'));
    EchoResponse response;
    return Stub()->Echo(&context, request, &response).error_code();
  };
  EXPECT_EQ(echo(100 << 10), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(echo(10), grpc::StatusCode::OK);
  *environment.answer_bytes = 0;
  EXPECT_EQ(echo(100 << 10), grpc::StatusCode::OK);
  server.reset();
  EXPECT_EQ(*environment.answer_bytes, 0);
}

// A call with `text` by a client that takes no more of the answer than 64 KiB until it is asked
// how the call ended.
class SlowCall {
 public:
  // Returns when there is an answer.
  SlowCall(int port, const std::string& text) : stub_(ChannelWithSmallWindows(port)) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    call_ = stub_.PrepareCall(&context_, "/certwright.rpc.testing.EchoService/Echo", &queue_);
    EchoRequest request;
    request.set_text(text);
    const grpc::Slice bytes(request.SerializeAsString());
    call_->StartCall(this);
    Wait();
    call_->WriteLast(grpc::ByteBuffer(&bytes, 1), grpc::WriteOptions(), this);
    Wait();
    call_->ReadInitialMetadata(this);
    Wait();
  }

  grpc::StatusCode End() {
    grpc::ByteBuffer answer;
    call_->Read(&answer, this);
    Wait();
    grpc::Status status;
    call_->Finish(&status, this);
    Wait();
    return status.error_code();
  }

 private:
  static std::shared_ptr<grpc::Channel> ChannelWithSmallWindows(int port) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port),
                                     grpc::InsecureChannelCredentials(), arguments);
  }

  void Wait() {
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
  }

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

TEST_F(ServerTest, ALargeAnswerThatIsNotTakenEndsTheCall) {
  environment.deadlines.answer = absl::Milliseconds(50);
  StartServer();
  SlowCall call(server->port(), std::string(200 << 10, 'x'));
  while (*environment.answer_bytes != 0) std::this_thread::yield();
  EXPECT_EQ(call.End(), grpc::StatusCode::CANCELLED);
}

TEST_F(ServerTest, AMessageThatDoesNotComeInTimeEndsTheCall) {
  environment.deadlines.message = absl::Milliseconds(50);
  StartServer();
  grpc::GenericStub stub(ChannelTo(server->port()));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto call =
      stub.PrepareCall(&context, "/certwright.rpc.testing.EchoService/Echo", &queue);
  int start = 0;
  call->StartCall(&start);
  grpc::Status status;
  call->Finish(&status, &status);
  void* tag = nullptr;
  bool ok = false;
  while (tag != &status) ASSERT_TRUE(queue.Next(&tag, &ok));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ServerTest, ADrainEndsEverythingInOrder) {
  std::promise<std::shared_ptr<WatchCall>> watching;
  service.on_watch = [&](auto watch) { watching.set_value(watch); };
  StartServer();
  const auto stub = Stub();
  grpc::ClientContext context;
  const auto reader = stub->WatchEcho(&context, WatchEchoRequest());
  watching.get_future().get();
  std::vector<std::string> steps;
  DrainOptions drain;
  drain.delay = absl::Seconds(7);
  Drain(
      *server, environment, drain,
      [&](absl::Duration delay) {
        EXPECT_EQ(delay, absl::Seconds(7));
        EXPECT_EQ(HealthOf(server->port(), ""), HealthCheckResponse::NOT_SERVING);
        grpc::ClientContext call;
        EchoResponse response;
        EXPECT_TRUE(stub->Echo(&call, EchoRequest(), &response).ok());
        EXPECT_EQ(environment.watches->size(), 1u);
        steps.push_back("pause");
      },
      [&] {
        WatchEchoResponse event;
        EXPECT_FALSE(reader->Read(&event));
        EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
        grpc::ClientContext call;
        EchoResponse response;
        EXPECT_EQ(stub->Echo(&call, EchoRequest(), &response).error_code(),
                  grpc::StatusCode::UNAVAILABLE);
        steps.push_back("stop work");
      });
  EXPECT_THAT(steps, ElementsAre("pause", "stop work"));
  grpc::ClientContext late;
  EchoResponse response;
  EXPECT_EQ(Stub()->Echo(&late, EchoRequest(), &response).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ServerTest, ACallThatRunsFinishesWithinTheGrace) {
  std::promise<void> started;
  std::promise<absl::AnyInvocable<void(bool)>> finish;
  auto wait = [&]() -> runtime::Awaitable<absl::StatusOr<EchoResponse>> {
    auto park = [&](absl::AnyInvocable<void(bool)> done) {
      finish.set_value(std::move(done));
      started.set_value();
    };
    co_await runtime::AwaitCallback<bool>(std::move(park));
    co_return EchoResponse();
  };
  service.handler = [&wait](CallContext, const EchoRequest&) { return wait(); };
  StartServer();
  auto call = std::async(std::launch::async, [stub = Stub()] {
    grpc::ClientContext context;
    EchoResponse response;
    return stub->Echo(&context, EchoRequest(), &response).ok();
  });
  started.get_future().get();
  auto shutdown = std::async(std::launch::async, [&] { server->Shutdown(absl::Minutes(1)); });
  finish.get_future().get()(true);
  EXPECT_TRUE(call.get());
  shutdown.get();
}

TEST(SignalsTest, ABlockedSignalIsWaitedFor) {
  BlockTerminationSignals();
  raise(SIGTERM);
  EXPECT_EQ(WaitForTerminationSignal(), SIGTERM);
  raise(SIGINT);
  EXPECT_EQ(WaitForTerminationSignal(), SIGINT);
}

}  // namespace
}  // namespace certwright::rpc::testing
