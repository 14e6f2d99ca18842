// What the mains of the three services share: flags, configuration, logs, threads, the order
// of starting and of stopping.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "certwright/config/v1/common.pb.h"
#include "google/protobuf/message.h"
#include "lib/rpc/access.h"
#include "lib/rpc/server.h"
#include "lib/service/environment.h"

namespace certwright::service {

// A service that runs. What the process does with it, in this order:
// Open() → Services() are put into a server that begins to listen → Start() → … SIGTERM, or
// Start() fails: readiness goes red → watches end → StopWork() → the server shuts down → the
// executor's threads end → destruction.
class App {
 public:
  virtual ~App() = default;

  // gRPC services to serve. Owned by the app.
  virtual std::vector<rpc::Service*> Services() = 0;
  // What they were made with.
  virtual const rpc::CallEnvironment& calls() const = 0;

  // Called once the server listens: starts informers and controllers.
  virtual absl::Status Start() = 0;

  // BackgroundWork::Stop() of all that Start() has started.
  virtual void StopWork(absl::Duration grace) = 0;
};

// What tells the services apart for RunMain().
struct ServiceDescription {
  // "certwright-order"
  std::string program;
  // One sentence for --help.
  std::string summary;
  // A configuration file for --help.
  std::string example_config;
  // What --help says besides about backups.
  std::string backup_note = {};
};

struct CommonConfig {
  const config::v1::Server& server;
  const config::v1::Log& log;
  const config::v1::Acme& acme;
  const config::v1::Access& access;
  const config::v1::Store& store;
};

// The parts that differ per service.
class ServiceFactory {
 public:
  virtual ~ServiceFactory() = default;
  virtual ServiceDescription Describe() const = 0;
  // The message that the file is read into; owned by the factory.
  virtual google::protobuf::Message& config() = 0;
  virtual CommonConfig common() const = 0;
  // Who may call its methods: a rule for each.
  virtual rpc::PermissionTable Permissions() const = 0;
  // Every problem of the configuration beyond its syntax, "field: rule" each.
  virtual std::vector<std::string> Validate() const = 0;
  // Opens the store and builds everything; nothing runs yet.
  virtual absl::StatusOr<std::unique_ptr<App>> Build(Environment environment) = 0;
};

// The body of main(): returns the exit status. Flags: --config=FILE, --check_config,
// --backup=FILE, --restore=FILE, --replace_store, --help, --version.
int RunMain(int argc, char** argv, ServiceFactory& factory);

}  // namespace certwright::service
