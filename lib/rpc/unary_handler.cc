#include "lib/rpc/unary_handler.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"

namespace certwright::rpc {

absl::StatusOr<runtime::Context> MakeCallContext(
    const HandlerEnvironment& environment, const grpc::CallbackServerContext& context,
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
  return runtime::Context(environment.clock, environment.clock.MonotonicNow() + left,
                          std::move(cancellation));
}

Caller IdentifyCaller(const HandlerEnvironment& environment,
                      const grpc::CallbackServerContext& context) {
  return environment.permissions != nullptr ? environment.permissions->Identify(context)
                                            : IdentifyByCertificate(context);
}

namespace {

absl::Status CheckPermission(const HandlerEnvironment& environment, const Caller& caller,
                             const google::protobuf::Message& request) {
  if (environment.permissions == nullptr) return absl::OkStatus();
  return environment.permissions->Check(caller, request);
}

// Nothing for a call that need not be told of.
std::optional<AuditRecord> MakeAuditRecord(const HandlerEnvironment& environment,
                                           const Caller& caller,
                                           const google::protobuf::Message& request,
                                           const absl::Status& allowed) {
  if (environment.audit == nullptr || environment.permissions == nullptr) return std::nullopt;
  const Permissions::Method* method = environment.permissions->Find(request);
  if (method != nullptr && method->rule.effect == Effect::kReads && allowed.ok()) {
    return std::nullopt;
  }
  Target target = TargetOf(request);
  if (method != nullptr && method->rule.scope == Scope::kNamespace &&
      target.resource_namespace.empty()) {
    target.resource_namespace = kDefaultNamespace;
  }
  AuditRecord record;
  record.method = method != nullptr ? method->name : request.GetTypeName();
  record.caller = caller.identities.empty() ? "" : caller.Description();
  record.peer = caller.peer;
  record.resource_namespace = std::move(target.resource_namespace);
  record.name = std::move(target.name);
  record.code = allowed.code();
  return record;
}

}  // namespace

absl::Status Admit(const HandlerEnvironment& environment,
                   const grpc::CallbackServerContext& context,
                   const google::protobuf::Message& request) {
  const Caller caller = IdentifyCaller(environment, context);
  absl::Status allowed = CheckPermission(environment, caller, request);
  if (const auto record = MakeAuditRecord(environment, caller, request, allowed)) {
    environment.audit->Record(*record);
  }
  return allowed;
}

UnaryReactor::UnaryReactor(const HandlerEnvironment& environment, std::string method)
    : environment_(environment),
      method_(std::move(method)),
      start_(environment.clock.MonotonicNow()),
      cancellation_(std::make_shared<runtime::Cancellation>()) {}

bool UnaryReactor::Admit() {
  admitted_ = environment_.gate->Enter();
  if (!admitted_) Complete(absl::UnavailableError("the server is shutting down; try again"));
  return admitted_;
}

bool UnaryReactor::Authorize(const Caller& caller, const google::protobuf::Message& request) {
  const absl::Status allowed = CheckPermission(environment_, caller, request);
  audit_ = MakeAuditRecord(environment_, caller, request, allowed);
  if (!allowed.ok()) Complete(allowed);
  return allowed.ok();
}

void UnaryReactor::Run(runtime::Awaitable<void> task) {
  runtime::Spawn(environment_.executor, std::move(task));
}

void UnaryReactor::Complete(const absl::Status& status) {
  if (environment_.observer != nullptr) {
    environment_.observer->OnCall(method_, status.code(),
                                  environment_.clock.MonotonicNow() - start_);
  }
  if (audit_.has_value()) {
    audit_->code = status.code();
    environment_.audit->Record(*audit_);
  }
  const std::shared_ptr<CallGate> gate = admitted_ ? environment_.gate : nullptr;
  Finish(ToGrpc(status));
  // From Finish() on, gRPC may have deleted this.
  if (gate != nullptr) gate->Leave();
}

}  // namespace certwright::rpc
