#include "lib/rpc/server.h"

#include <signal.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/impl/server_builder_option.h"
#include "grpcpp/impl/server_builder_plugin.h"
#include "grpcpp/security/auth_context.h"
#include "grpcpp/security/auth_metadata_processor.h"
#include "grpcpp/server_builder.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"

namespace certwright::rpc {
namespace {

constexpr absl::Duration kWatchdog = absl::Seconds(10);
// Longer than the first waits of clients that try again.
constexpr absl::Duration kQuiet = absl::Milliseconds(100);
constexpr absl::Duration kQuietLimit = absl::Seconds(2);

// Linking the reflection plug-in turns it on for every server; this takes it out again.
class WithoutReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(
      std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) {
      return plugin->name() == "proto_server_reflection";
    });
  }
};

void SetLimits(grpc::ServerBuilder& builder, const ServerOptions& options) {
  builder.SetMaxReceiveMessageSize(options.max_receive_bytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, options.max_metadata_bytes);
  // With it, a second server on the same port would start without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  if (options.max_connection_age != absl::InfiniteDuration()) {
    builder.AddChannelArgument(
        GRPC_ARG_MAX_CONNECTION_AGE_MS,
        static_cast<int>(absl::ToInt64Milliseconds(options.max_connection_age)));
  }
}

// Keeps callers that are not known from reflection, which gRPC serves by itself. Our own
// services ask the permissions, and health is for everyone.
class ReflectionGuard final : public grpc::AuthMetadataProcessor {
 public:
  explicit ReflectionGuard(const Permissions& permissions) : permissions_(permissions) {}

  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context,
                       OutputMetadata*, OutputMetadata*) override {
    const auto path = metadata.find(":path");
    const bool guarded =
        path == metadata.end() || path->second.starts_with("/grpc.reflection.");
    if (!guarded || context->IsPeerAuthenticated()) return grpc::Status::OK;
    const auto [first, last] = metadata.equal_range("authorization");
    for (auto header = first; header != last; ++header) {
      const absl::string_view value(header->second.data(), header->second.size());
      if (permissions_.IsKnownToken(value)) return grpc::Status::OK;
    }
    return {grpc::StatusCode::UNAUTHENTICATED,
            "reflection is for known callers: show a client certificate or a bearer token"};
  }

 private:
  const Permissions& permissions_;
};

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(
    const ServerOptions& options) {
  const Permissions* permissions = options.permissions;
  const bool has_tokens = permissions != nullptr && permissions->has_tokens();
  CW_ASSIGN_OR_RETURN(
      std::shared_ptr<grpc::ServerCredentials> credentials,
      MakeServerCredentials(*options.tls, has_tokens ? ClientCertificate::kOptional
                                                     : ClientCertificate::kRequired));
  if (permissions != nullptr) {
    credentials->SetAuthMetadataProcessor(std::make_shared<ReflectionGuard>(*permissions));
  }
  return credentials;
}

absl::StatusOr<std::unique_ptr<grpc::Server>> Build(grpc::ServerBuilder& builder,
                                                    const std::string& address,
                                                    const int& port) {
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return absl::AlreadyExistsError(absl::StrCat(
        "cannot listen on ", address, ": the address is in use or not one of this machine's"));
  }
  return server;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const ServerOptions& options, const std::vector<NamedService>& services) {
  std::unique_ptr<Server> server(new Server);
  for (const NamedService& service : services) server->names_.push_back(service.name);
  if (options.permissions != nullptr) {
    CW_RETURN_IF_ERROR(options.permissions->CheckCovers(server->names_));
  }
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  if (options.tls.has_value()) {
    CW_ASSIGN_OR_RETURN(credentials, MakeCredentials(options));
  }
  // Referring to the message links its descriptor, which reflection shows.
  grpc::health::v1::HealthCheckRequest::descriptor();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  SetLimits(builder, options);
  if (!options.reflection) builder.SetOption(std::make_unique<WithoutReflection>());
  builder.AddListeningPort(options.listen_address, credentials, &server->port_);
  for (const NamedService& service : services) builder.RegisterService(service.service);
  CW_ASSIGN_OR_RETURN(server->server_, Build(builder, options.listen_address, server->port_));
  if (!options.health_address.empty()) {
    grpc::ServerBuilder health_builder;
    SetLimits(health_builder, options);
    health_builder.RegisterCallbackGenericService(&server->no_service_);
    health_builder.SetOption(std::make_unique<WithoutReflection>());
    health_builder.AddListeningPort(options.health_address, grpc::InsecureServerCredentials(),
                                    &server->health_port_);
    CW_ASSIGN_OR_RETURN(server->health_server_,
                        Build(health_builder, options.health_address, server->health_port_));
  }
  server->SetServing(false);
  return server;
}

Server::~Server() {
  if (server_ != nullptr) Shutdown(absl::ZeroDuration());
}

void Server::SetServing(bool serving) {
  for (grpc::Server* server : {server_.get(), health_server_.get()}) {
    if (server == nullptr) continue;
    auto* health = server->GetHealthCheckService();
    health->SetServingStatus(serving);
    health->SetServingStatus("", serving);
    for (const std::string& name : names_) health->SetServingStatus(name, serving);
  }
}

void Server::Shutdown(absl::Duration grace) {
  server_->Shutdown(absl::ToChronoTime(base::Clock::Real().Now() + grace));
  server_->Wait();
  if (health_server_ != nullptr) {
    health_server_->Shutdown(absl::ToChronoTime(base::Clock::Real().Now()));
    health_server_->Wait();
  }
}

namespace {

sigset_t TerminationSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Ends the process unless it is destroyed in time.
class Watchdog {
 public:
  explicit Watchdog(absl::Duration limit)
      : thread_([this, limit](const std::stop_token& stop) {
          std::unique_lock lock(mutex_);
          if (!condition_.wait_for(lock, stop, absl::ToChronoMilliseconds(limit),
                                   [] { return false; }) &&
              !stop.stop_requested()) {
            std::fputs("the server does not shut down: a call does not end\n", stderr);
            std::_Exit(70);
          }
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any condition_;
  std::jthread thread_;
};

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

void Drain(Server& server, WatchHub& watches, CallGate& gate, const DrainOptions& options,
           const std::function<void(absl::Duration)>& pause,
           const std::function<void()>& stop_work) {
  server.SetServing(false);
  if (options.delay > absl::ZeroDuration()) pause(options.delay);
  watches.EndAll(absl::UnavailableError("the server is shutting down; watch again"));
  gate.Close();
  stop_work();
  const bool quiet = gate.WaitUntilQuiet(kQuiet, kQuietLimit);
  const Watchdog watchdog(options.grace + kWatchdog);
  // An idle client does not read that the server is going, so with any grace its next call
  // would meet a server that is shutting down. When no call runs, connections are cut instead.
  server.Shutdown(quiet ? absl::ZeroDuration() : options.grace);
}

}  // namespace certwright::rpc
