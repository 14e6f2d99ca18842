// Suite: the three services of Certwright as child processes on free loopback ports, each
// with a configuration file and a store in one folder, so that any of them can be killed and
// started again.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/channel.h"
#include "lib/rpc/tls.h"
#include "tests/harness/process.h"

namespace certwright::harness {

enum class Service { kIssuer, kOrder, kSolver };
inline constexpr std::array kServices = {Service::kIssuer, Service::kOrder, Service::kSolver};
// "issuer", "order", "solver"
const char* ServiceName(Service service);

struct SuiteOptions {
  // A folder of its own, which exists: configuration, stores and logs.
  std::string folder;
  // Where each service's store is; default: `folder`.
  std::string store_folders[3];
  // Where the binaries are: <binaries>/services/<name>/certwright-<name>. Default: Bazel's
  // runfiles of a test, or the working directory.
  std::string binaries;
  // "address:port" of the resolver that self-checks ask.
  std::string dns_server;
  // The port at which they ask nameservers of zones.
  int authoritative_port = 53;
  // The solver's dnsAllowedRanges, and dnsAllowedPorts besides authoritative_port.
  std::vector<std::string> dns_allowed_ranges = {"127.0.0.0/8"};
  std::vector<int> dns_allowed_ports;
  // The services' acme.allowedRanges.
  std::vector<std::string> acme_allowed_ranges = {"127.0.0.0/8", "::1"};
  // Of the HTTP-01 listener; 0: a free one.
  int http01_port = 0;
  // A folder that certwright-bootstrap has filled: mutual TLS everywhere. Empty: plaintext.
  std::string certificates;
  // Whose certificate in that folder channel() shows.
  std::string client;
  // Of each service's "server" configuration, as YAML, besides where it listens and its TLS.
  std::string server_config[3];
  // Of each service's "acme" configuration, as YAML, besides allowedRanges.
  std::string acme_config;
  // Where `from` is told to find `to`, which listens at `port` of 127.0.0.1; unset: there.
  std::function<int(Service from, Service to, int port)> peer_port;
  // Appended to a service's configuration, as YAML.
  std::string extra_config[3];
};

// What `name` shows and trusts, in a folder that certwright-bootstrap has filled.
rpc::TlsFiles FilesOf(const std::string& certificates, const std::string& name);

class Suite {
 public:
  // Returns once all three answer health checks.
  static absl::StatusOr<std::unique_ptr<Suite>> Start(SuiteOptions options);

  std::shared_ptr<grpc::Channel> channel(Service service) const;
  // "127.0.0.1:PORT"
  std::string address(Service service) const;
  int http01_port() const { return options_.http01_port; }
  Process& process(Service service) { return *processes_[Index(service)]; }
  const std::string& folder() const { return options_.folder; }
  std::string store_path(Service service) const;

  // As a crash would: SIGKILL, now.
  void Kill(Service service);
  // Of `service` when it is started the next time.
  void SetEnvironment(Service service, std::map<std::string, std::string> environment) {
    environments_[Index(service)] = std::move(environment);
  }
  // Starts the program of a service with these flags besides its configuration, as an operator
  // does, and returns what it printed once it has ended; FAILED_PRECONDITION with that unless
  // its exit status was 0.
  absl::StatusOr<std::string> RunCommand(Service service, std::vector<std::string> flags);
  // After Kill(), or after the process ended by itself. Returns once it is healthy.
  absl::Status Restart(Service service);
  // The same, but returns at once.
  absl::Status Launch(Service service);

 private:
  explicit Suite(SuiteOptions options) : options_(std::move(options)) {}
  static std::size_t Index(Service service) { return static_cast<std::size_t>(service); }
  // For a YAML map in the configuration of `service`; empty without TLS.
  std::string TlsConfig(Service service) const;
  void WriteConfiguration();

  SuiteOptions options_;
  std::array<int, 3> ports_{};
  std::array<std::map<std::string, std::string>, 3> environments_;
  std::array<std::unique_ptr<Process>, 3> processes_;
};

}  // namespace certwright::harness
