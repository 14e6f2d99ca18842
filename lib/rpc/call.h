// Call: one incoming call, from its headers to its end.
//
// Who calls is asked before any of the message is read: a caller that may not make this call
// in any namespace is refused by the headers alone, so that strangers cost no memory. Then the
// message is read, within a time, parsed, and the method's rule is applied to what it says.
//
// Threading: gRPC calls the reactor's methods one after the other, from its own threads.
// Lifetime: a call keeps itself until gRPC is done with it; coroutines hold it besides.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/support/byte_buffer.h"
#include "lib/base/mutex.h"
#include "lib/rpc/access.h"
#include "lib/rpc/audit.h"
#include "lib/rpc/call_gate.h"
#include "lib/rpc/call_rate.h"
#include "lib/rpc/call_slots.h"
#include "lib/rpc/change_rate.h"
#include "lib/rpc/pending_answers.h"
#include "lib/rpc/read_turns.h"
#include "lib/rpc/watch_hub.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::rpc {

// Told of every call that ends. Threading: from any thread.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  // `method` is a short name, "GetSecret", of a method that is served.
  virtual void OnCall(absl::string_view method, absl::StatusCode code,
                      absl::Duration elapsed) = 0;
};

struct DeadlineOptions {
  absl::Duration when_missing = absl::Seconds(30);
  absl::Duration overhead = absl::Milliseconds(20);
  absl::Duration minimum = absl::Milliseconds(100);
  // From a call's headers to the end of its message.
  absl::Duration message = absl::Seconds(10);
  // For a client to take a large answer.
  absl::Duration answer = absl::Seconds(30);
};

// What all calls of a service share. References must outlive the calls.
struct CallEnvironment {
  runtime::Executor executor;
  runtime::Timers& timers;
  CallObserver* observer = nullptr;
  DeadlineOptions deadlines = {};
  // Null: everyone may do everything.
  const Permissions* permissions = nullptr;
  AuditSink* audit = nullptr;
  // Closed when the server drains.
  std::shared_ptr<CallGate> gate = std::make_shared<CallGate>();
  // Ended when the server drains.
  std::shared_ptr<WatchHub> watches = std::make_shared<WatchHub>();
  // How many calls a caller may have at once. Null: any number, and nobody is a stranger.
  std::shared_ptr<CallSlots> slots = nullptr;
  // Bytes of large answers that clients have yet to take, of all calls together.
  std::shared_ptr<std::atomic<int64_t>> answer_bytes =
      std::make_shared<std::atomic<int64_t>>(0);
  // How many calls, and how many changes, a caller may make. Null: any number.
  std::shared_ptr<CallRate> call_rate = nullptr;
  std::shared_ptr<ChangeRate> change_rate = nullptr;
  // In which order a caller's lists are read.
  std::shared_ptr<ReadTurns> read_turns = std::make_shared<ReadTurns>();

  const base::Clock& clock() const { return timers.clock(); }
};

// Who calls, and what bounds the call.
struct CallContext {
  runtime::Context context;
  Caller caller = {};
};

// Who may call a method.
enum class Access {
  // Whom the rule of its request says.
  kByRule,
  // Whoever has shown a certificate or a token, where that is asked for.
  kKnownCallers,
  kEveryone,
};

struct Method {
  // Full name: "certwright.issuer.v1.SecretService.GetSecret".
  std::string name;
  // The default instance of the request's type.
  const google::protobuf::Message* request = nullptr;
  Access access = Access::kByRule;
};

class Call : public grpc::ServerGenericBidiReactor, public std::enable_shared_from_this<Call> {
 public:
  // Both must outlive the call.
  Call(const CallEnvironment& environment, const Method& method);

  // Takes the call up; once, and with the context that gRPC has made for it.
  void Begin(grpc::GenericCallbackServerContext& context,
             std::shared_ptr<PendingAnswers> pending_answers);

  void OnReadDone(bool ok) final;
  void OnCancel() override {}
  void OnDone() override;

 protected:
  // Whether the server takes new calls of this kind.
  virtual absl::Status Admit() = 0;
  // The message has come, and the caller may make the call. Complete() or CompleteWith() is
  // due, from any thread.
  virtual void OnRequest() = 0;

  const CallEnvironment& environment() const { return environment_; }
  // What is done for different callers takes turns there; for services, which call on behalf
  // of others, what is done for different namespaces. Once the request is there.
  runtime::Executor executor() const;
  const Method& method() const { return method_; }
  const Caller& caller() const { return caller_; }
  google::protobuf::Message& request() { return *request_; }
  grpc::GenericCallbackServerContext& context() { return *context_; }

  // Tells metrics and audit log of the end, gives back what the call holds, and ends it. Only
  // the first end counts.
  void Complete(const absl::Status& status);
  // The same with a message before the end. If it is large, and clients have more than enough
  // of such to take, the end is RESOURCE_EXHAUSTED without it.
  void CompleteWith(const google::protobuf::Message& response);

  // Reads one more message in the same way: for calls that are streams of requests.
  void ReadNext() { StartRead(&message_); }
  // What a message after the first is; INVALID_ARGUMENT if it is not of the request's type.
  absl::Status Parse();
  // To be overridden by streams of requests: the next message has come, or (false) none will.
  virtual void OnNextMessage(bool ok);

 private:
  // Has the audit log told of this call at its end.
  void Audit();
  absl::Status CheckBeforeReading();
  absl::Status CheckRequest();
  void OnMessageLate();
  // Whether the answer, which counts from now on if it is large, may be kept until it is taken.
  bool KeepAnswer();
  // Metrics, audit log and slots; and the answer is pending from now on.
  void Account(absl::StatusCode code);
  // Whether it matters who calls, and nobody knows it.
  bool IsStrangers() const;

  const CallEnvironment& environment_;
  const Method& method_;
  const base::MonotonicTime start_;
  grpc::GenericCallbackServerContext* context_ = nullptr;
  Caller caller_;
  bool is_identified_ = false;
  CallSlots::Slot slot_;
  std::shared_ptr<PendingAnswers> pending_answers_;
  PendingAnswers::Answer answer_;
  grpc::ByteBuffer message_;
  grpc::ByteBuffer response_;
  std::unique_ptr<google::protobuf::Message> request_;
  // What the audit log is to be told at the end, unless nothing.
  std::optional<AuditRecord> audit_;

  // Whether the first message has come or its time is over: whichever is first goes on.
  std::atomic<bool> message_settled_ = false;
  std::atomic<bool> completed_ = false;
  base::Mutex mutex_;
  runtime::Timers::TimerId message_timer_ CW_GUARDED_BY(mutex_) = 0;
  runtime::Timers::TimerId answer_timer_ CW_GUARDED_BY(mutex_) = 0;
  // What this call has in environment_.answer_bytes.
  std::shared_ptr<std::atomic<int64_t>> answers_kept_;
  int64_t answer_bytes_ = 0;
  bool first_message_seen_ = false;
  // Until gRPC is done with the call.
  std::shared_ptr<Call> self_;
};

// The bytes of a message on the wire.
grpc::ByteBuffer Serialize(const google::protobuf::Message& message);

// The first field of `message`, at any depth, that its type does not know, for an error: empty
// if there is none.
std::string UnknownFieldIn(const google::protobuf::Message& message);

// The context of a call that ends at `deadline`; DEADLINE_EXCEEDED if too little time is left
// to do anything.
absl::StatusOr<runtime::Context> MakeCallContext(
    const CallEnvironment& environment, const grpc::CallbackServerContext& context,
    std::shared_ptr<runtime::Cancellation> cancellation);

}  // namespace certwright::rpc
