#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/client_call.h"
#include "lib/rpc/testing/echo_service.h"
#include "lib/runtime/run_sync.h"

namespace certwright::rpc::testing {
namespace {

using base::StatusIs;
using ::testing::AllOf;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Lt;

using Async = EchoService::StubInterface::async_interface;

absl::StatusOr<EchoResponse> Call(EchoService::StubInterface& stub, runtime::Context context,
                                  const std::string& text) {
  EchoRequest request;
  request.set_text(text);
  return runtime::RunSync(CallUnary(std::move(context), stub.async(), &Async::Echo, request));
}

// With `bytes` for the message.
grpc::Status CallWithBytes(const std::string& address, const std::string& method,
                           absl::string_view bytes) {
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  const grpc::Slice slice(bytes.data(), bytes.size());
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  std::promise<grpc::Status> status;
  stub.UnaryCall(&context, method, grpc::StubOptions(), &request, &response,
                 [&status](grpc::Status result) { status.set_value(std::move(result)); });
  return status.get_future().get();
}

// With a deadline of gRPC's own, or none.
grpc::Status CallWithin(EchoService::StubInterface& stub,
                        std::chrono::system_clock::time_point deadline) {
  grpc::ClientContext context;
  context.set_deadline(deadline);
  EchoResponse response;
  return stub.Echo(&context, EchoRequest(), &response);
}

class CallTest : public EchoTest {
 protected:
  // Makes the handler report how much time it was given, and answer at once.
  std::future<absl::Duration> ReportTimeLeft() {
    auto left = std::make_shared<std::promise<absl::Duration>>();
    service.handler =
        [left](CallContext call,
               const EchoRequest&) -> runtime::Awaitable<absl::StatusOr<EchoResponse>> {
      left->set_value(call.context.Remaining());
      return Respond();
    };
    return left->get_future();
  }

  static runtime::Awaitable<absl::StatusOr<EchoResponse>> Respond() {
    co_return EchoResponse();
  }
  static runtime::Awaitable<absl::StatusOr<EchoResponse>> Fail(absl::Status status) {
    co_return status;
  }

  // Waits for the cancellation of its call, and says when it has begun to.
  static runtime::Awaitable<absl::StatusOr<EchoResponse>> WaitForCancel(
      CallContext call, std::shared_ptr<std::promise<void>> started) {
    auto wait = [&call, started](absl::AnyInvocable<void(bool)> done) {
      auto shared = std::make_shared<absl::AnyInvocable<void(bool)>>(std::move(done));
      call.context.cancellation()->Register([shared] { (*shared)(true); });
      started->set_value();
    };
    co_await runtime::AwaitCallback<bool>(std::move(wait));
    co_return call.context.Check();
  }
};

TEST_F(CallTest, ACallIsAnswered) {
  StartServer();
  const auto response = Call(*Stub(), LongContext(), "hello");
  CW_ASSERT_OK(response);
  EXPECT_EQ(response->text(), "hello");
}

TEST_F(CallTest, AChannelOfOursReachesTheServer) {
  StartServer();
  ChannelOptions channel_options;
  channel_options.address = Address();
  CW_ASSERT_OK_AND_ASSIGN(auto channel, MakeChannel(channel_options));
  const std::unique_ptr<EchoService::StubInterface> stub = EchoService::NewStub(channel);
  CW_EXPECT_OK(Call(*stub, LongContext(), "hello"));
}

TEST_F(CallTest, TheHandlersDeadlineIsTheClientsLessAnOverhead) {
  auto left = ReportTimeLeft();
  // More than the tenth of a second that gRPC may add when it writes a timeout of this size.
  environment.deadlines.overhead = absl::Seconds(5);
  StartServer();
  CW_ASSERT_OK(
      Call(*Stub(), runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(40)), ""));
  EXPECT_THAT(left.get(), AllOf(Gt(absl::Seconds(25)), Lt(absl::Milliseconds(35200))));
}

TEST_F(CallTest, ACallWithoutDeadlineGetsTheDefault) {
  auto left = ReportTimeLeft();
  StartServer();
  ASSERT_TRUE(CallWithin(*Stub(), std::chrono::system_clock::time_point::max()).ok());
  EXPECT_THAT(left.get(), AllOf(Gt(absl::Seconds(25)), Le(absl::Seconds(30))));
}

// Fault 96.
TEST_F(CallTest, ACallWithTooLittleTimeLeftIsRefusedBeforeWorkBegins) {
  auto ran = std::make_shared<std::atomic<bool>>(false);
  service.handler = [ran](CallContext, const EchoRequest&) {
    *ran = true;
    return Respond();
  };
  // The call has a minute, so the refusal, not gRPC's own timeout, is what the client sees.
  environment.deadlines.minimum = absl::Minutes(5);
  StartServer();
  const auto response = Call(*Stub(), LongContext(), "");
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("too little")));
  EXPECT_FALSE(*ran);
}

TEST_F(CallTest, TheMinimumIsAHundredMillisecondsUnlessSaidOtherwise) {
  EXPECT_EQ(environment.deadlines.minimum, absl::Milliseconds(100));
  EXPECT_EQ(environment.deadlines.overhead, absl::Milliseconds(20));
}

TEST_F(CallTest, AContextThatHasEndedMakesNoCall) {
  StartServer();
  auto cancellation = std::make_shared<runtime::Cancellation>();
  cancellation->Cancel();
  const runtime::Context context(base::Clock::Real(),
                                 base::Clock::Real().MonotonicNow() + absl::Seconds(60),
                                 cancellation);
  EXPECT_THAT(Call(*Stub(), context, ""), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(CallTest, CancellingTheClientsContextCancelsTheHandlers) {
  auto started = std::make_shared<std::promise<void>>();
  auto cancelled = std::make_shared<std::promise<absl::Status>>();
  service.handler = [started, cancelled](CallContext call, const EchoRequest&) {
    call.context.cancellation()->Register(
        [cancelled] { cancelled->set_value(absl::OkStatus()); });
    return WaitForCancel(std::move(call), started);
  };
  StartServer();
  auto cancellation = std::make_shared<runtime::Cancellation>();
  const runtime::Context context(base::Clock::Real(),
                                 base::Clock::Real().MonotonicNow() + absl::Seconds(60),
                                 cancellation);
  auto call = std::async(std::launch::async,
                         [&, stub = Stub()] { return Call(*stub, context, "").status(); });
  started->get_future().get();
  cancellation->Cancel();
  EXPECT_THAT(call.get(), StatusIs(absl::StatusCode::kCancelled));
  CW_EXPECT_OK(cancelled->get_future().get());
}

TEST_F(CallTest, AClientsTimeoutCancelsTheHandler) {
  auto started = std::make_shared<std::promise<void>>();
  environment.deadlines.minimum = absl::ZeroDuration();
  service.handler = [started](CallContext call, const EchoRequest&) {
    return WaitForCancel(std::move(call), started);
  };
  StartServer();
  const auto soon = std::chrono::system_clock::now() + std::chrono::milliseconds(300);
  EXPECT_EQ(CallWithin(*Stub(), soon).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // Only a handler that was told can end, and without that the server could not.
  server.reset();
}

TEST_F(CallTest, DetailsOfAnErrorReachTheClient) {
  service.handler = [](CallContext, const EchoRequest&) {
    return Fail(WithRetryAfter(InvalidArgument({{"text", "is empty"}}), absl::Seconds(3)));
  };
  StartServer();
  const absl::Status status = Call(*Stub(), LongContext(), "").status();
  EXPECT_THAT(status,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("text: is empty")));
  EXPECT_EQ(RetryAfterOf(status), absl::Seconds(3));
  ASSERT_EQ(ViolationsOf(status).size(), 1u);
  EXPECT_EQ(ViolationsOf(status)[0].field, "text");
}

TEST_F(CallTest, AnErrorWithVeryManyViolationsReachesTheClientAsItself) {
  service.handler = [](CallContext, const EchoRequest&) {
    return Fail(InvalidArgument(
        std::vector<FieldViolation>(500, {std::string(300, 'f'), std::string(3000, 'd')})));
  };
  StartServer();
  const absl::Status status = Call(*Stub(), LongContext(), "").status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_FALSE(ViolationsOf(status).empty());
}

TEST_F(CallTest, AnErrorInAnotherScriptReachesTheClientAsItself) {
  // Each byte of these becomes three on the wire.
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "\u8a3c";
  service.handler = [text](CallContext, const EchoRequest&) {
    return Fail(InvalidArgument(std::vector<FieldViolation>(20, {"spec.a", text})));
  };
  StartServer();
  const absl::Status status = Call(*Stub(), LongContext(), "").status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_FALSE(ViolationsOf(status).empty());
}

// Fault 118.
TEST_F(CallTest, AMessageThatCannotBeDecodedIsAnInvalidArgument) {
  StartServer();
  std::string nested;
  for (int i = 0; i < 200; ++i) nested += "\x0b";
  const std::vector<std::pair<const char*, std::string>> cases = {
      {"cut off within a field", "\x0a\x05hel"},
      {"cut off within a length", "\x0a\x80"},
      {"text that is not UTF-8", "\x0a\x02\xc3\x28"},
      {"a number without end", std::string(11, '\xff')},
      {"the end of a group that did not begin", "\x0c"},
      {"field number 0", std::string("\x00\x01", 2)},
      {"wire type 7", "\x0f\x01"},
      {"groups without end", nested},
      {"words", "{\"text\": \"hello\"}"},
      {"a length beyond 2 GiB", "\x0a\xff\xff\xff\xff\x0f"},
  };
  for (const auto& [what, bytes] : cases) {
    for (const char* method :
         {"/certwright.rpc.testing.EchoService/Echo", "/grpc.health.v1.Health/Check"}) {
      const grpc::Status status = CallWithBytes(Address(), method, bytes);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << what << method;
      EXPECT_THAT(status.error_message(), HasSubstr("cannot be parsed")) << what << method;
    }
  }
  EXPECT_TRUE(
      CallWithBytes(Address(), "/certwright.rpc.testing.EchoService/Echo", "\x0a\x01x").ok());
}

TEST_F(CallTest, AnObserverIsToldOfEveryCall) {
  struct Observer final : CallObserver {
    void OnCall(absl::string_view method, absl::StatusCode code, absl::Duration) override {
      done.set_value({std::string(method), code});
    }
    std::promise<std::pair<std::string, absl::StatusCode>> done;
  } observer;
  environment.observer = &observer;
  service.handler = [](CallContext, const EchoRequest&) {
    return Fail(absl::NotFoundError("no such thing"));
  };
  StartServer();
  EXPECT_FALSE(Call(*Stub(), LongContext(), "").ok());
  const auto [method, code] = observer.done.get_future().get();
  EXPECT_EQ(method, "Echo");
  EXPECT_EQ(code, absl::StatusCode::kNotFound);
  server.reset();
}

TEST_F(CallTest, AServerThatIsNotThereIsUnavailable) {
  StartServer();
  const auto stub = Stub();
  server.reset();
  EXPECT_THAT(Call(*stub, LongContext(), ""), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace certwright::rpc::testing
