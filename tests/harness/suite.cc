#include "tests/harness/suite.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/substitute.h"
#include "absl/time/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "lib/base/status_macros.h"

namespace certwright::harness {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(20);

std::string Binary(const SuiteOptions& options, Service service) {
  const std::string name = ServiceName(service);
  std::string root = options.binaries;
  if (root.empty() && std::getenv("TEST_SRCDIR") != nullptr) {
    root = absl::StrCat(std::getenv("TEST_SRCDIR"), "/certwright");
  }
  return absl::StrCat(root.empty() ? "." : root, "/services/", name, "/certwright-", name);
}

std::string YamlList(const std::vector<std::string>& items) {
  if (items.empty()) return "[]";
  return absl::StrCat("[\"", absl::StrJoin(items, "\", \""), "\"]");
}

bool Healthy(const std::shared_ptr<grpc::Channel>& channel) {
  auto stub = grpc::health::v1::Health::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(1)));
  grpc::health::v1::HealthCheckRequest request;
  grpc::health::v1::HealthCheckResponse response;
  return stub->Check(&context, request, &response).ok() &&
         response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
}

}  // namespace

const char* ServiceName(Service service) {
  switch (service) {
    case Service::kIssuer:
      return "issuer";
    case Service::kOrder:
      return "order";
    case Service::kSolver:
      return "solver";
  }
  std::abort();
}

absl::StatusOr<std::unique_ptr<Suite>> Suite::Start(SuiteOptions options) {
  std::unique_ptr<Suite> suite(new Suite(std::move(options)));
  for (int& port : suite->ports_) port = FreePort();
  if (suite->options_.http01_port == 0) suite->options_.http01_port = FreePort();
  suite->WriteConfiguration();
  for (const Service service : kServices) CW_RETURN_IF_ERROR(suite->Launch(service));
  for (const Service service : kServices) CW_RETURN_IF_ERROR(suite->Restart(service));
  return suite;
}

std::shared_ptr<grpc::Channel> Suite::channel(Service service) const {
  grpc::ChannelArguments arguments;
  // A service that is started again is to be found at once, not after gRPC's back-off.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  // Despite its name, the least time that an attempt to connect gets.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                   options_.certificates.empty() ? 20 : 5'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!options_.certificates.empty()) {
    auto with_tls =
        rpc::MakeChannelCredentials(FilesOf(options_.certificates, options_.client));
    if (!with_tls.ok()) {
      std::fprintf(stderr, "suite: %s\n", with_tls.status().ToString().c_str());
      std::abort();
    }
    credentials = *std::move(with_tls);
  }
  return grpc::CreateCustomChannel(address(service), credentials, arguments);
}

std::string Suite::address(Service service) const {
  return absl::StrCat("127.0.0.1:", ports_[Index(service)]);
}

rpc::TlsFiles FilesOf(const std::string& certificates, const std::string& name) {
  const std::string stem = absl::StrCat(certificates, "/", name);
  return {stem + ".crt", stem + ".key", certificates + "/ca.crt"};
}

std::string Suite::TlsConfig(Service service) const {
  if (options_.certificates.empty()) return "";
  const rpc::TlsFiles files = FilesOf(options_.certificates, ServiceName(service));
  return absl::Substitute(
      ", tls: {certificateFile: \"$0\", privateKeyFile: \"$1\", caFile: \"$2\"}",
      files.certificate, files.private_key, files.ca);
}

std::string Suite::store_path(Service service) const {
  const std::string& folder = options_.store_folders[Index(service)];
  return absl::StrCat(folder.empty() ? options_.folder : folder, "/", ServiceName(service),
                      ".db");
}

void Suite::WriteConfiguration() {
  const auto common = [this](Service service) {
    return absl::Substitute(
        "server: {listen: \"$0\", metricsListen: \"127.0.0.1:0\", drainGrace: 5s$3, $4}\n"
        "store: {sqlite: {path: \"$1\"}}\n"
        "acme: {allowedRanges: $5, $2}\n",
        address(service), store_path(service), options_.acme_config, TlsConfig(service),
        options_.server_config[Index(service)], YamlList(options_.acme_allowed_ranges));
  };
  const auto peer = [this](Service from, Service to) {
    int port = ports_[Index(to)];
    if (options_.peer_port != nullptr) port = options_.peer_port(from, to, port);
    return absl::Substitute("$0: {address: \"127.0.0.1:$1\"$2}\n", ServiceName(to), port,
                            TlsConfig(from));
  };
  const auto peers = [&peer](Service from) {
    std::string text;
    for (const Service to : kServices) {
      if (to != from) text += peer(from, to);
    }
    return text;
  };
  std::vector<int> dns_ports = options_.dns_allowed_ports;
  dns_ports.push_back(options_.authoritative_port);
  const std::string configurations[3] = {
      absl::StrCat(common(Service::kIssuer), peers(Service::kIssuer)),
      absl::StrCat(common(Service::kOrder), peers(Service::kOrder)),
      absl::StrCat(common(Service::kSolver), peer(Service::kSolver, Service::kIssuer),
                   absl::Substitute(
                       "http01Listen: \"127.0.0.1:$0\"\n"
                       "recursiveNameservers: [\"$1\"]\n"
                       "authoritativePort: $2\n"
                       "dnsAllowedRanges: $3\n"
                       "dnsAllowedPorts: [$4]\n"
                       "selfCheckAllowedRanges: [\"127.0.0.0/8\"]\n",
                       options_.http01_port, options_.dns_server, options_.authoritative_port,
                       YamlList(options_.dns_allowed_ranges), absl::StrJoin(dns_ports, ", ")))};
  for (const Service service : kServices) {
    WriteFile(
        absl::StrCat(options_.folder, "/", ServiceName(service), ".yaml"),
        absl::StrCat(configurations[Index(service)], options_.extra_config[Index(service)]));
  }
}

absl::Status Suite::Launch(Service service) {
  const std::string name = ServiceName(service);
  ProcessSpec spec;
  spec.name = absl::StrCat("certwright-", name);
  spec.arguments = {Binary(options_, service),
                    absl::StrCat("--config=", options_.folder, "/", name, ".yaml")};
  spec.log_file = absl::StrCat(options_.folder, "/", name, ".log");
  spec.environment = environments_[Index(service)];
  CW_ASSIGN_OR_RETURN(processes_[Index(service)], Process::Start(std::move(spec)));
  return absl::OkStatus();
}

absl::StatusOr<std::string> Suite::RunCommand(Service service, std::vector<std::string> flags) {
  ProcessSpec spec;
  spec.name = absl::StrCat("certwright-", ServiceName(service));
  spec.arguments = {Binary(options_, service), absl::StrCat("--config=", options_.folder, "/",
                                                            ServiceName(service), ".yaml")};
  spec.arguments.insert(spec.arguments.end(), flags.begin(), flags.end());
  spec.log_file = absl::StrCat(options_.folder, "/", ServiceName(service), "-command.log");
  WriteFile(spec.log_file, "");
  CW_ASSIGN_OR_RETURN(const auto process, Process::Start(spec));
  CW_ASSIGN_OR_RETURN(const int status, process->Wait(kStartTimeout));
  CW_ASSIGN_OR_RETURN(std::string output, ReadFile(spec.log_file));
  if (status != 0) return absl::FailedPreconditionError(output);
  return output;
}

void Suite::Kill(Service service) { process(service).Kill(); }

absl::Status Suite::Restart(Service service) {
  if (!process(service).Running()) CW_RETURN_IF_ERROR(Launch(service));
  CW_RETURN_IF_ERROR(WaitForPort(process(service), ports_[Index(service)], kStartTimeout));
  const std::shared_ptr<grpc::Channel> to_service = channel(service);
  if (!WaitUntil([&] { return Healthy(to_service); }, kStartTimeout)) {
    return absl::DeadlineExceededError(absl::StrCat(ServiceName(service),
                                                    " does not get healthy; its log says:\n",
                                                    process(service).LogTail()));
  }
  return absl::OkStatus();
}

}  // namespace certwright::harness
