#include "lib/rpc/call.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/unknown_field_set.h"
#include "grpc/grpc.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/proto_buffer_writer.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/connection_counts.h"
#include "lib/rpc/status.h"
#include "lib/runtime/in_turn.h"

namespace certwright::rpc {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// One that is worth counting, and how much of such may wait for clients.
constexpr int64_t kLargeAnswer = 64 << 10;
constexpr int64_t kMaxAnswers = 24 << 20;
constexpr absl::Duration kRetryAfter = absl::Seconds(1);

bool ParseMessage(grpc::ByteBuffer& bytes, Message& message) {
  if (!bytes.Valid()) return false;
  grpc::ProtoBufferReader reader(&bytes);
  return reader.status().ok() && message.ParseFromZeroCopyStream(&reader) &&
         reader.status().ok();
}

Caller Identify(const CallEnvironment& environment, const grpc::ServerContextBase& context) {
  if (environment.permissions != nullptr) return environment.permissions->Identify(context);
  Caller caller = IdentifyByCertificate(context);
  caller.peer = context.peer();
  return caller;
}

// "GetSecret"
absl::string_view ShortName(absl::string_view method) {
  return method.substr(method.rfind('.') + 1);
}

void FillIn(const Message& request, const Permissions::Method* method, AuditRecord& record) {
  Target target = TargetOf(request);
  if (method != nullptr && method->rule.scope == Scope::kNamespace &&
      target.resource_namespace.empty()) {
    target.resource_namespace = kDefaultNamespace;
  }
  record.resource_namespace = std::move(target.resource_namespace);
  record.name = std::move(target.name);
}

}  // namespace

grpc::ByteBuffer Serialize(const Message& message) {
  grpc::ByteBuffer bytes;
  bool own_buffer = false;
  // Fails only for a message of over 2 GiB, which nothing here can make.
  const grpc::Status status =
      grpc::GenericSerialize<grpc::ProtoBufferWriter, Message>(message, &bytes, &own_buffer);
  if (!status.ok()) std::abort();
  return bytes;
}

std::string UnknownFieldIn(const Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const auto& unknown = reflection.GetUnknownFields(message);
  if (!unknown.empty()) {
    return absl::StrCat("field number ", unknown.field(0).number(), " of ",
                        message.GetDescriptor()->full_name());
  }
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      std::string found = UnknownFieldIn(reflection.GetMessage(message, field));
      if (!found.empty()) return found;
      continue;
    }
    // Maps, too, are seen as lists of entries.
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      std::string found = UnknownFieldIn(reflection.GetRepeatedMessage(message, field, i));
      if (!found.empty()) return found;
    }
  }
  return "";
}

absl::StatusOr<runtime::Context> MakeCallContext(
    const CallEnvironment& environment, const grpc::CallbackServerContext& context,
    std::shared_ptr<runtime::Cancellation> cancellation) {
  const DeadlineOptions& deadlines = environment.deadlines;
  const auto deadline = context.deadline();
  absl::Duration left = deadlines.when_missing;
  if (deadline != std::chrono::system_clock::time_point::max()) {
    // gRPC's deadlines are on the real wall clock, whatever clock is injected.
    left = absl::FromChrono(deadline) - base::Clock::Real().Now();
    if (left < deadlines.minimum) {
      return absl::DeadlineExceededError(
          absl::StrCat("only ", absl::FormatDuration(std::max(left, absl::ZeroDuration())),
                       " are left before the call's deadline, too little to begin"));
    }
    left -= deadlines.overhead;
  }
  return runtime::Context(environment.clock(), environment.clock().MonotonicNow() + left,
                          std::move(cancellation));
}

Call::Call(const CallEnvironment& environment, const Method& method)
    : environment_(environment), method_(method), start_(environment.clock().MonotonicNow()) {}

void Call::Begin(grpc::GenericCallbackServerContext& context,
                 std::shared_ptr<PendingAnswers> pending_answers) {
  self_ = shared_from_this();
  pending_answers_ = std::move(pending_answers);
  context_ = &context;
  const absl::Status allowed = CheckBeforeReading();
  if (!allowed.ok()) return Complete(allowed);
  {
    base::MutexLock lock(mutex_);
    message_timer_ = environment_.timers.ScheduleAfter(
        environment_.deadlines.message, [weak = weak_from_this()] {
          if (const std::shared_ptr<Call> call = weak.lock()) call->OnMessageLate();
        });
  }
  StartRead(&message_);
}

absl::Status Call::CheckBeforeReading() {
  CW_RETURN_IF_ERROR(Admit());
  caller_ = Identify(environment_, *context_);
  is_identified_ = true;
  const Permissions* permissions = environment_.permissions;
  absl::Status allowed;
  if (permissions != nullptr && method_.access != Access::kEveryone) {
    allowed = method_.access == Access::kKnownCallers
                  ? permissions->CheckKnown(caller_, method_.name)
                  : permissions->CheckMethod(caller_, *method_.request);
  }
  if (allowed.ok() && environment_.call_rate != nullptr) {
    allowed = environment_.call_rate->Admit(caller_);
  }
  if (allowed.ok() && environment_.slots != nullptr) {
    absl::StatusOr<CallSlots::Slot> slot = environment_.slots->Take(caller_);
    allowed = slot.status();
    if (slot.ok()) slot_ = *std::move(slot);
  }
  if (!allowed.ok() && permissions != nullptr) Audit();
  return allowed;
}

void Call::Audit() {
  if (environment_.audit == nullptr) return;
  const bool is_told = !caller_.identities.empty() || !caller_.refusal.empty();
  audit_.emplace();
  audit_->method = method_.name;
  audit_->caller = is_told ? caller_.Description() : "";
  audit_->peer = caller_.peer;
}

void Call::OnMessageLate() {
  if (message_settled_.exchange(true)) return;
  Complete(absl::DeadlineExceededError(
      absl::StrCat("the message of the call did not come within ",
                   absl::FormatDuration(environment_.deadlines.message))));
}

void Call::OnReadDone(bool ok) {
  if (first_message_seen_) return OnNextMessage(ok);
  first_message_seen_ = true;
  if (message_settled_.exchange(true)) return;
  {
    base::MutexLock lock(mutex_);
    environment_.timers.Cancel(message_timer_);
  }
  if (!ok) {
    return Complete(context_->IsCancelled()
                        ? absl::CancelledError("the caller has gone")
                        : absl::InvalidArgumentError("the call has no message"));
  }
  const absl::Status allowed = CheckRequest();
  if (!allowed.ok()) return Complete(allowed);
  OnRequest();
}

absl::Status Call::Parse() {
  request_.reset(method_.request->New());
  const bool parsed = ParseMessage(message_, *request_);
  message_.Clear();
  if (!parsed) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the message is no ", request_->GetDescriptor()->full_name(), ": it cannot be parsed"));
  }
  return absl::OkStatus();
}

absl::Status Call::CheckRequest() {
  CW_RETURN_IF_ERROR(Parse());
  absl::Status allowed;
  const Permissions* permissions = environment_.permissions;
  if (permissions != nullptr && method_.access == Access::kByRule) {
    allowed = permissions->Check(caller_, *request_);
    const Permissions::Method* method = permissions->Find(*request_);
    if (allowed.ok() && environment_.change_rate != nullptr && method != nullptr) {
      allowed = environment_.change_rate->Admit(caller_, *method);
    }
    if (!allowed.ok() || method == nullptr || method->rule.effect != Effect::kReads) {
      Audit();
      if (audit_.has_value()) FillIn(*request_, method, *audit_);
    }
  }
  CW_RETURN_IF_ERROR(allowed);
  // Whatever is not known would be stored and given back, without anybody having looked at it.
  const std::string unknown = UnknownFieldIn(*request_);
  if (!unknown.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(unknown, ": is not known here; is the client newer than this server?"));
  }
  return absl::OkStatus();
}

runtime::Executor Call::executor() const {
  const bool is_service = !caller_.services.empty();
  std::string who = is_service                   ? TargetOf(*request_).resource_namespace
                    : caller_.identities.empty() ? PeerOfUri(caller_.peer)
                                                 : caller_.identities.front();
  return runtime::InTurn(environment_.executor, std::move(who));
}

void Call::OnNextMessage(bool) {}

void Call::Account(absl::StatusCode code) {
  if (environment_.observer != nullptr) {
    environment_.observer->OnCall(ShortName(method_.name), code,
                                  environment_.clock().MonotonicNow() - start_);
  }
  if (audit_.has_value()) {
    audit_->code = code;
    environment_.audit->Record(*audit_);
  }
  slot_.Release();
  answer_ = IsStrangers() ? pending_answers_->AddOfStranger(context_->peer())
                          : pending_answers_->Add(context_->peer());
}

bool Call::IsStrangers() const {
  // While the server drains, callers are not looked at.
  return environment_.slots != nullptr && is_identified_ && caller_.identities.empty() &&
         caller_.services.empty();
}

void Call::Complete(const absl::Status& status) {
  if (completed_.exchange(true)) return;
  Account(status.code());
  Finish(ToGrpc(status));
}

bool Call::KeepAnswer() {
  const auto bytes = static_cast<int64_t>(response_.Length());
  if (bytes < kLargeAnswer) return true;
  std::atomic<int64_t>& kept = *environment_.answer_bytes;
  if (kept.fetch_add(bytes) + bytes > kMaxAnswers) {
    kept -= bytes;
    return false;
  }
  answers_kept_ = environment_.answer_bytes;
  answer_bytes_ = bytes;
  // Of its own, as the context is gone when gRPC is done, which may be while the timer runs.
  grpc_call* const call = context_->c_call();
  grpc_call_ref(call);
  base::MutexLock lock(mutex_);
  answer_timer_ = environment_.timers.ScheduleAfter(
      environment_.deadlines.answer,
      [held = std::shared_ptr<grpc_call>(call, &grpc_call_unref)] {
        grpc_call_cancel_with_status(held.get(), GRPC_STATUS_CANCELLED,
                                     "the answer was not taken in time", nullptr);
      });
  return true;
}

void Call::CompleteWith(const Message& response) {
  if (completed_.exchange(true)) return;
  response_ = Serialize(response);
  if (environment_.call_rate != nullptr) {
    environment_.call_rate->Charge(caller_, response_.Length());
  }
  if (!KeepAnswer()) {
    response_.Clear();
    Account(absl::StatusCode::kResourceExhausted);
    const absl::Status status = absl::ResourceExhaustedError(
        "clients have too much to take of answers that are ready; try again, or ask for less "
        "at once");
    return Finish(ToGrpc(WithRetryAfter(WithReason(status, "TOO_MANY_ANSWERS"), kRetryAfter)));
  }
  Account(absl::StatusCode::kOk);
  StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
}

void Call::OnDone() {
  {
    base::MutexLock lock(mutex_);
    if (answer_timer_ != 0) environment_.timers.Cancel(answer_timer_);
  }
  if (answers_kept_ != nullptr) *answers_kept_ -= answer_bytes_;
  answer_ = {};
  // Members of gRPC's may be used until this returns.
  const std::shared_ptr<Call> self = std::move(self_);
}

}  // namespace certwright::rpc
