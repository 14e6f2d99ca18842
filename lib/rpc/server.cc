#include "lib/rpc/server.h"

#include <signal.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server_builder.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/connection_acceptor.h"
#include "lib/rpc/pending_answers.h"
#include "lib/rpc/stream_limit.h"

namespace certwright::rpc {
namespace {

// Longer than the first waits of clients that try again.
constexpr absl::Duration kQuiet = absl::Milliseconds(100);
constexpr absl::Duration kQuietLimit = absl::Seconds(2);

// Calls that still run when a connection has come of age.
constexpr absl::Duration kConnectionAgeGrace = absl::Seconds(30);
// What of a message may come before it is asked for.
constexpr int kLookaheadBytes = 16 << 10;
constexpr int kMaxReadBytes = 64 << 10;
// A question about health is the name of a service.
constexpr int kMaxProbeBytes = 1 << 10;
constexpr int kMaxProbeStreams = 16;
constexpr int kMaxProbes = 1000;

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

void SetLimits(grpc::ServerBuilder& builder, const ServerLimits& limits) {
  builder.SetMaxReceiveMessageSize(limits.max_message_bytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams);
  // Twice, as what is left of a stream that has ended may be there for a moment.
  AllowStreamsOfConnection(2 * limits.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, limits.max_metadata_bytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookaheadBytes);
  // Else what was read for each connection takes up to 4 MiB.
  builder.AddChannelArgument("grpc.experimental.tcp_max_read_chunk_size", kMaxReadBytes);
  // It would let the windows of fast senders grow to megabytes.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             Milliseconds(limits.handshake_timeout));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                             Milliseconds(limits.max_connection_idle));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             Milliseconds(limits.max_connection_age));
  builder.AddChannelArgument(
      GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
      Milliseconds(std::min(limits.max_connection_age, kConnectionAgeGrace)));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  if (limits.buffer_bytes > 0) {
    grpc::ResourceQuota quota("server");
    quota.Resize(static_cast<std::size_t>(limits.buffer_bytes));
    builder.SetResourceQuota(quota);
  }
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(
    const std::optional<TlsFiles>& tls, const Permissions* permissions) {
  if (!tls.has_value()) return grpc::InsecureServerCredentials();
  const bool has_tokens = permissions != nullptr && permissions->has_tokens();
  return MakeServerCredentials(
      *tls, has_tokens ? ClientCertificate::kOptional : ClientCertificate::kRequired);
}

// Answers a call of a method that there is not.
class UnknownMethodCall final : public grpc::ServerGenericBidiReactor {
 public:
  explicit UnknownMethodCall(PendingAnswers::Answer answer) : answer_(std::move(answer)) {
    Finish({grpc::StatusCode::UNIMPLEMENTED, "this server has no such method"});
  }
  void OnDone() override { delete this; }

 private:
  const PendingAnswers::Answer answer_;
};

// Brings each call to the service that has its method.
class Dispatcher final : public grpc::CallbackGenericService {
 public:
  void SetPendingAnswers(std::shared_ptr<PendingAnswers> answers) {
    pending_answers_ = std::move(answers);
  }
  void Add(const Service& service) { services_.push_back(&service); }

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    for (const Service* service : services_) {
      if (const std::shared_ptr<Call> call = service->NewCall(context->method())) {
        call->Begin(*context, pending_answers_);
        return call.get();
      }
    }
    return new UnknownMethodCall(pending_answers_->AddOfStranger(context->peer()));
  }

 private:
  std::vector<const Service*> services_;
  std::shared_ptr<PendingAnswers> pending_answers_;
};

// What calls about the server itself share: nobody counts them.
CallEnvironment ForServerItself(const CallEnvironment& calls) {
  CallEnvironment environment = calls;
  environment.observer = nullptr;
  return environment;
}

// Probes come without credentials, also where services ask for them.
CallEnvironment ForProbes(const CallEnvironment& calls) {
  CallEnvironment environment = ForServerItself(calls);
  environment.permissions = nullptr;
  // Nobody is known there, and what may be asked is small.
  CallSlotLimits limits;
  limits.unknown = kMaxProbes;
  environment.slots = std::make_shared<CallSlots>(limits);
  return environment;
}

ServerLimits ForProbes(ServerLimits limits) {
  limits.max_message_bytes = kMaxProbeBytes;
  limits.max_concurrent_streams = kMaxProbeStreams;
  return limits;
}

}  // namespace

// One port, and what is served there.
struct Server::Listener {
  Listener(const CallEnvironment& calls, const std::vector<std::string>& names)
      : environment(calls), health(environment, names) {
    dispatcher.Add(health);
  }

  absl::Status Listen(const std::string& address, const ServerLimits& limits,
                      const std::shared_ptr<grpc::ServerCredentials>& credentials,
                      ConnectionAcceptorOptions accepting) {
    const auto strangers =
        std::make_shared<base::TokenBuckets>(limits.strangers, base::Clock::Real());
    accepting.limits = limits.connections;
    accepting.strangers = strangers;
    CW_ASSIGN_OR_RETURN(acceptor, ConnectionAcceptor::Listen(address, std::move(accepting)));
    PendingAnswerLimits answers;
    answers.per_connection = 2 * limits.max_concurrent_streams;
    dispatcher.SetPendingAnswers(std::make_shared<PendingAnswers>(
        answers, strangers,
        [this](const std::string& connection) { acceptor->Disconnect(connection); }));
    grpc::ServerBuilder builder;
    SetLimits(builder, limits);
    builder.RegisterCallbackGenericService(&dispatcher);
    acceptor->ServeInto(builder, credentials);
    server = builder.BuildAndStart();
    if (server == nullptr) return absl::InternalError("gRPC does not start a server");
    acceptor->Start();
    return absl::OkStatus();
  }

  void Shutdown(absl::Duration grace) {
    acceptor->Stop();
    server->Shutdown(absl::ToChronoTime(base::Clock::Real().Now() + grace));
    server->Wait();
  }

  const CallEnvironment environment;
  HealthService health;
  std::optional<ReflectionService> reflection;
  Dispatcher dispatcher;
  std::unique_ptr<ConnectionAcceptor> acceptor;
  std::unique_ptr<grpc::Server> server;
};

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      const CallEnvironment& calls,
                                                      const std::vector<Service*>& services) {
  std::vector<std::string> names;
  for (const Service* service : services) names.push_back(service->name());
  if (calls.permissions != nullptr) {
    CW_RETURN_IF_ERROR(calls.permissions->CheckCovers(names));
  }
  CW_ASSIGN_OR_RETURN(const auto credentials, MakeCredentials(options.tls, calls.permissions));

  std::unique_ptr<Server> server(new Server);
  server->listener_ = std::make_unique<Listener>(ForServerItself(calls), names);
  Listener& listener = *server->listener_;
  for (const Service* service : services) listener.dispatcher.Add(*service);
  if (options.reflection) {
    std::vector<std::string> listed = names;
    listed.push_back(listener.health.name());
    listener.reflection.emplace(listener.environment, std::move(listed));
    listener.dispatcher.Add(*listener.reflection);
  }
  ConnectionAcceptorOptions accepting;
  accepting.on_change = options.on_connections_change;
  accepting.on_refused = options.on_connection_refused;
  CW_RETURN_IF_ERROR(listener.Listen(options.listen_address, options.limits, credentials,
                                     std::move(accepting)));
  if (options.health_address.empty()) return server;
  auto probes = std::make_unique<Listener>(ForProbes(calls), names);
  CW_RETURN_IF_ERROR(probes->Listen(options.health_address, ForProbes(options.limits),
                                    grpc::InsecureServerCredentials(), {}));
  server->probes_ = std::move(probes);
  return server;
}

Server::~Server() {
  if (listener_ != nullptr && listener_->server != nullptr) Shutdown(absl::ZeroDuration());
}

int Server::port() const { return listener_->acceptor->port(); }

int Server::health_port() const { return probes_ == nullptr ? 0 : probes_->acceptor->port(); }

void Server::SetServing(bool serving) {
  listener_->health.Set(serving);
  if (probes_ != nullptr) probes_->health.Set(serving);
}

void Server::Shutdown(absl::Duration grace) {
  listener_->Shutdown(grace);
  if (probes_ != nullptr) probes_->Shutdown(absl::ZeroDuration());
}

namespace {

sigset_t TerminationSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

}  // namespace

void BlockTerminationSignals() {
  const sigset_t signals = TerminationSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

int WaitForTerminationSignal() {
  const sigset_t signals = TerminationSignals();
  int signal = 0;
  sigwait(&signals, &signal);
  return signal;
}

void Drain(Server& server, const CallEnvironment& calls, const DrainOptions& options,
           const std::function<void(absl::Duration)>& pause,
           const std::function<void()>& stop_work) {
  server.SetServing(false);
  if (options.delay > absl::ZeroDuration()) pause(options.delay);
  const base::Clock& clock = base::Clock::Real();
  const base::MonotonicTime end = clock.MonotonicNow() + options.grace;
  const auto left = [&] { return std::max(end - clock.MonotonicNow(), absl::ZeroDuration()); };
  calls.watches->EndAll(absl::UnavailableError("the server is shutting down; watch again"));
  calls.gate->Close();
  stop_work();
  const bool quiet =
      calls.gate->WaitUntilQuiet(kQuiet, std::clamp(left(), kQuiet, kQuietLimit));
  // An idle client does not read that the server is going, so with any grace its next call
  // would meet a server that is shutting down. When no call runs, connections are cut instead.
  server.Shutdown(quiet ? absl::ZeroDuration() : left());
}

}  // namespace certwright::rpc
