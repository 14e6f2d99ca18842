#include "lib/service/main.h"

#include <signal.h>
#include <time.h>

#include <iostream>
#include <optional>
#include <utility>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/base/new_file.h"
#include "lib/base/random.h"
#include "lib/base/status_macros.h"
#include "lib/config/yaml_config.h"
#include "lib/http/curl_http_client.h"
#include "lib/http/http_server.h"
#include "lib/rpc/caller_certificates.h"
#include "lib/rpc/server.h"
#include "lib/rpc/tls_files.h"
#include "lib/runtime/thread_pool.h"
#include "lib/runtime/timers.h"
#include "lib/runtime/watchdog.h"
#include "lib/service/access_config.h"
#include "lib/service/acme_config.h"
#include "lib/service/audit.h"
#include "lib/service/conditions.h"
#include "lib/service/peers.h"
#include "lib/service/process_hardening.h"
#include "lib/service/server_limits.h"
#include "lib/service/store_commands.h"
#include "lib/telemetry/library_logs.h"
#include "lib/telemetry/log.h"
#include "lib/telemetry/metrics.h"

namespace certwright::service {
namespace {

using telemetry::LogError;
using telemetry::LogInfo;
using telemetry::LogWarning;

constexpr char kVersion[] = "0.1";
constexpr int kExitUsage = 2;
constexpr absl::Duration kDefaultGrace = absl::Seconds(5);
// What has been cancelled, and the store's closing, take no longer than this.
constexpr absl::Duration kEndLimit = absl::Seconds(1);

struct Flags {
  std::string config_file;
  bool check_config = false;
  StoreCommand store;
};

std::string Examples(const ServiceDescription& description) {
  const std::string command =
      absl::StrCat("  ", description.program, " --config=", description.program, ".yaml");
  return absl::StrCat("Examples:\n", command, "\n", command, " --backup=/backup/",
                      description.program, "-2026-01-31.db\n", command, " --restore=/backup/",
                      description.program, "-2026-01-31.db\n", description.backup_note, "\n",
                      description.program, ".yaml:\n", description.example_config);
}

// An exit status, if the process shall end here.
std::optional<int> ParseFlags(int argc, char** argv, const ServiceDescription& description,
                              Flags& flags) {
  CLI::App app(description.summary, description.program);
  app.set_version_flag("--version", absl::StrCat(description.program, " ", kVersion));
  app.add_option("--config", flags.config_file, "Configuration file (YAML)")->required();
  app.add_flag("--check_config", flags.check_config,
               "Check the configuration file, say what is wrong with it, and exit");
  auto* backup = app.add_option("--backup", flags.store.backup_file,
                                "Copy the store, also while the service runs, to this new "
                                "file, check the copy, and exit");
  auto* restore = app.add_option("--restore", flags.store.restore_file,
                                 "Make the store of this backup, and exit; the service must "
                                 "not run");
  restore->excludes(backup);
  app.add_flag("--replace_store", flags.store.replace_store,
               "Let --restore replace a store that is there")
      ->needs(restore);
  app.footer(Examples(description));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return std::nullopt;
}

absl::Status LoadConfig(const Flags& flags, ServiceFactory& factory) {
  CW_RETURN_IF_ERROR(config::LoadYamlFile(flags.config_file, factory.config()));
  std::vector<std::string> problems = factory.Validate();
  for (std::string& problem : ValidateAccess(factory.common().access)) {
    problems.push_back(std::move(problem));
  }
  for (std::string& problem : ValidateServerLimits(factory.common().server.limits())) {
    problems.push_back(std::move(problem));
  }
  const std::string& level = factory.common().log.level();
  if (!level.empty() && !telemetry::ParseLevel(level).has_value()) {
    problems.push_back("log.level: must be debug, info, warning, error or off");
  }
  for (std::string& problem : ValidateAcme(factory.common().acme)) {
    problems.push_back(std::move(problem));
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("configuration file ", flags.config_file,
                                                 ":\n  ", absl::StrJoin(problems, "\n  ")));
}

rpc::ServerOptions ToServerOptions(const config::v1::Server& config,
                                   telemetry::Metrics& metrics) {
  rpc::ServerOptions options;
  options.listen_address = config.listen();
  options.health_address = config.health_listen();
  options.tls = ToTlsFiles(config.has_tls(), config.tls());
  options.reflection = !config.has_reflection() || config.reflection();
  options.limits = ToServerLimits(config.limits());
  telemetry::Gauge& open =
      metrics.GetGauge("certwright_connections", "Open connections to the gRPC listener.");
  options.on_connections_change = [&open](int count) { open.Set(count); };
  options.on_connection_refused = [&metrics](absl::string_view limit) {
    metrics
        .GetCounter("certwright_connections_refused_total",
                    "Connections closed as soon as they came, by the limit that they met.",
                    {{"limit", std::string(limit)}})
        .Increment();
  };
  return options;
}

absl::Status WriteAddressFile(const config::v1::Server& config, int port) {
  if (config.address_file().empty()) return absl::OkStatus();
  const std::string host = config.listen().substr(0, config.listen().rfind(':'));
  return base::ReplaceFile(config.address_file(), absl::StrCat(host, ":", port, "\n"));
}

absl::StatusOr<std::unique_ptr<http::HttpServer>> StartMetrics(const config::v1::Server& config,
                                                               Environment environment) {
  if (config.metrics_listen().empty()) return std::unique_ptr<http::HttpServer>();
  telemetry::Metrics& metrics = environment.metrics;
  return http::HttpServer::Start(environment.executor, environment.timers,
                                 config.metrics_listen(),
                                 [&metrics](const http::HttpServerRequest& request) {
                                   http::HttpServerResponse response;
                                   if (request.path == "/metrics") {
                                     response.content_type = telemetry::Metrics::kContentType;
                                     response.body = metrics.Expose();
                                   } else {
                                     response.status = 404;
                                   }
                                   return response;
                                 });
}

void WarnOfProxyVariables(const config::v1::Acme& config) {
  const std::vector<std::string> variables = ProxyVariables();
  if (config.has_proxy() || variables.empty()) return;
  LogWarning("proxies of the environment are not used: name the proxy in acme.proxy",
             {{"variables", absl::StrJoin(variables, ", ")}});
}

void CountTlsChanges(telemetry::Metrics& metrics) {
  const auto counter = [&metrics](const char* result) {
    return &metrics.GetCounter("certwright_tls_changes_total",
                               "Changes of the files of TLS, by whether they are used.",
                               {{"result", result}});
  };
  rpc::SetTlsObserver(
      [used = counter("used"), refused = counter("refused")](const absl::Status& status) {
        (status.ok() ? used : refused)->Increment();
      });
}

// Waits without sleeping through a second signal: the wait simply ends early then.
void PauseUntilSignal(absl::Duration duration) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  const timespec limit = absl::ToTimespec(duration);
  sigtimedwait(&signals, nullptr, &limit);
}

// Readiness follows whether the store can be written.
store::StorageHealth::Listener StorageListener(rpc::Server& server,
                                               telemetry::Metrics& metrics) {
  auto& writable =
      metrics.GetGauge("certwright_store_writable", "1 if the store can be written, 0 if not.");
  return [&server, &writable, was_ok = true](const absl::Status& status) mutable {
    if (!status.ok()) {
      LogError("the store cannot be written; nothing is begun until it can",
               {{"error", status.message()}});
    } else if (!was_ok) {
      LogInfo("the store can be written again");
    }
    was_ok = status.ok();
    writable.Set(status.ok() ? 1 : 0);
    server.SetServing(status.ok());
  };
}

void LogHardening() {
  const Hardening hardening = HardenProcess();
  LogInfo("hardened", {{"done", absl::StrJoin(hardening.done, ", ")}});
  if (!hardening.failed.empty()) {
    telemetry::LogWarning("not hardened as far as it should be",
                          {{"failed", absl::StrJoin(hardening.failed, ", ")}});
  }
}

absl::StatusOr<std::unique_ptr<rpc::Permissions>> MakePermissions(ServiceFactory& factory) {
  const CommonConfig common = factory.common();
  rpc::AccessPolicy policy = ToAccessPolicy(common.access, common.server);
  if (const auto files = ToTlsFiles(common.server.has_tls(), common.server.tls())) {
    CW_ASSIGN_OR_RETURN(policy.certificates,
                        rpc::CallerCertificates::Follow(*files, base::Clock::Real()));
  }
  return rpc::Permissions::Make(std::move(policy), factory.Permissions());
}

rpc::DrainOptions ToDrainOptions(const config::v1::Server& config) {
  rpc::DrainOptions drain;
  drain.delay = FromProto(config.drain_delay());
  drain.grace = config.has_drain_grace() ? FromProto(config.drain_grace()) : kDefaultGrace;
  return drain;
}

// Starts the app and waits for a signal; returns the number of it.
absl::StatusOr<int> StartAndWait(App& app, const ServiceFactory& factory, rpc::Server& server,
                                 const http::HttpServer* metrics_server,
                                 const Environment& environment) {
  const config::v1::Server& config = factory.common().server;
  CW_RETURN_IF_ERROR(app.Start());
  CW_RETURN_IF_ERROR(WriteAddressFile(config, server.port()));
  environment.storage->Listen(StorageListener(server, environment.metrics));
  LogInfo("serving",
          {{"program", factory.Describe().program},
           {"listen", config.listen()},
           {"port", server.port()},
           {"metrics_port", metrics_server == nullptr ? 0 : metrics_server->port()}});
  const int signal = rpc::WaitForTerminationSignal();
  environment.storage->Listen(nullptr);
  return signal;
}

// From the listeners' start to the end of all that the app does, which is the same whether the
// app was told to end or could not start. Sets `watchdog` when the end begins.
absl::Status Run(App& app, const ServiceFactory& factory, const Environment& environment,
                 std::optional<runtime::Watchdog>& watchdog) {
  const config::v1::Server& config = factory.common().server;
  CW_ASSIGN_OR_RETURN(const auto metrics_server, StartMetrics(config, environment));
  CW_ASSIGN_OR_RETURN(const auto server,
                      rpc::Server::Start(ToServerOptions(config, environment.metrics),
                                         app.calls(), app.Services()));
  const absl::StatusOr<int> signal =
      StartAndWait(app, factory, *server, metrics_server.get(), environment);
  rpc::DrainOptions drain;
  drain.grace = absl::ZeroDuration();
  if (signal.ok()) {
    drain = ToDrainOptions(config);
    LogInfo("draining", {{"signal", *signal}});
  }
  watchdog.emplace(drain.delay + drain.grace + kEndLimit);
  rpc::Drain(*server, app.calls(), drain, PauseUntilSignal, [&] { app.StopWork(drain.grace); });
  if (metrics_server != nullptr) metrics_server->Stop();
  return signal.status();
}

absl::Status Serve(ServiceFactory& factory) {
  const CommonConfig common = factory.common();
  // Until everything below has gone.
  std::optional<runtime::Watchdog> watchdog;
  runtime::ThreadPool pool;
  const auto timers = runtime::MakeAsioTimers(pool.executor(), base::Clock::Real());
  WarnOfProxyVariables(common.acme);
  const auto http = http::MakeCurlHttpClient(
      pool.executor(), *timers,
      ToHttpOptions(common.acme, absl::StrCat("certwright/", kVersion)));
  // Never destroyed: who follows TLS files counts in it until the process ends. Static, so that
  // a service that does not get to serving leaves no leak for LeakSanitizer to tell of.
  static auto& metrics = *new telemetry::Metrics;
  CountTlsChanges(metrics);
  CW_ASSIGN_OR_RETURN(const std::unique_ptr<AuditLog> audit,
                      AuditLog::Open(factory.Describe().program, common.log.audit_file(),
                                     base::Clock::Real(), metrics));
  CW_ASSIGN_OR_RETURN(const std::unique_ptr<rpc::Permissions> permissions,
                      MakePermissions(factory));
  store::StorageHealth storage;
  Environment environment{pool.executor(), *timers, base::Random::Real(), *http, metrics};
  environment.permissions = permissions.get();
  environment.audit = audit.get();
  const config::v1::ServerLimits& limits = common.server.limits();
  if (permissions->enforced()) {
    environment.call_slots = std::make_shared<rpc::CallSlots>(ToCallSlotLimits(limits));
  }
  environment.call_rate =
      std::make_shared<rpc::CallRate>(ToCallRate(common.access), base::Clock::Real());
  environment.change_rate =
      std::make_shared<rpc::ChangeRate>(ToChangeRate(common.access), base::Clock::Real());
  environment.call_deadlines = ToDeadlineOptions(limits);
  environment.storage = &storage;
  if (common.acme.has_request_timeout()) {
    environment.acme_request_timeout = FromProto(common.acme.request_timeout());
  }

  CW_ASSIGN_OR_RETURN(const std::unique_ptr<App> app, factory.Build(environment));
  if (!permissions->enforced() && common.access.ByteSizeLong() > 0) {
    LogWarning(
        "access is configured but does not count: without server.tls everyone may do all");
  }
  const absl::Status served = Run(*app, factory, environment, watchdog);
  // Before what runs there is destroyed.
  pool.Stop();
  if (served.ok()) LogInfo("stopped");
  return served;
}

}  // namespace

int RunMain(int argc, char** argv, ServiceFactory& factory) {
  telemetry::TakeOverLibraryLogs();
  rpc::BlockTerminationSignals();
  // Debian's Abseil would end the process on a suspected lock-order cycle inside gRPC, and
  // looks for them, under a lock that all threads share, unless it is told not to.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const ServiceDescription description = factory.Describe();
  Flags flags;
  if (const std::optional<int> status = ParseFlags(argc, argv, description, flags)) {
    return *status;
  }
  const absl::Status loaded = LoadConfig(flags, factory);
  if (!loaded.ok()) {
    std::cerr << description.program << ": " << loaded.message() << "\n";
    return kExitUsage;
  }
  if (flags.check_config) {
    std::cout << flags.config_file << ": OK\n";
    return 0;
  }
  if (flags.store.given()) {
    const auto report =
        RunStoreCommand(flags.store, factory.common().store, description.program);
    if (report.ok()) {
      std::cout << *report << "\n";
      return 0;
    }
    std::cerr << description.program << ": " << report.status().message() << "\n";
    return 1;
  }
  telemetry::SetLogLevel(
      telemetry::ParseLevel(factory.common().log.level()).value_or(telemetry::Level::kInfo));
  LogHardening();
  const absl::Status served = Serve(factory);
  if (served.ok()) return 0;
  LogError("cannot run", {{"program", description.program}, {"error", served.message()}});
  return 1;
}

}  // namespace certwright::service
