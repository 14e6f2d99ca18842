// Server: the gRPC server of a service: listener, limits, health, reflection, mutual TLS, and
// an orderly end.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/server.h"
#include "lib/rpc/access.h"
#include "lib/rpc/call_gate.h"
#include "lib/rpc/tls.h"
#include "lib/rpc/watch_reactor.h"

namespace certwright::rpc {

// A service and its full name, under which its health is asked for.
struct NamedService {
  std::string name;
  grpc::Service* service = nullptr;
};

struct ServerOptions {
  // "host:port"; port 0 takes a free one.
  std::string listen_address;
  // A second listener that serves health alone, in plaintext, for probes. Empty: none.
  std::string health_address;
  // Plaintext without.
  std::optional<TlsFiles> tls;
  // Must have a rule for every method, and outlive the server. Callers of reflection must be
  // known to it. Null: for tests.
  const Permissions* permissions = nullptr;
  bool reflection = true;
  int max_receive_bytes = 4 << 20;
  int max_concurrent_streams = 1000;
  int max_metadata_bytes = 16 << 10;
  absl::Duration max_connection_age = absl::InfiniteDuration();
};

class Server {
 public:
  // Listens and answers; health is NOT_SERVING until SetServing(). `services` must outlive
  // the server. ALREADY_EXISTS if an address is in use, INVALID_ARGUMENT if it is none,
  // FAILED_PRECONDITION if a method has no rule.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, const std::vector<NamedService>& services);
  ~Server();

  // The port of listen_address.
  int port() const { return port_; }
  // 0 without a second listener.
  int health_port() const { return health_port_; }

  // The whole server and each service.
  void SetServing(bool serving);

  // No new calls; those that run may finish within `grace` and are cancelled then. Every
  // watch must have been ended before.
  void Shutdown(absl::Duration grace);

 private:
  Server() = default;

  std::vector<std::string> names_;
  // Answers UNIMPLEMENTED. gRPC does not build a server that has no service of its own.
  grpc::CallbackGenericService no_service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<grpc::Server> health_server_;
  int port_ = 0;
  int health_port_ = 0;
};

// Blocks SIGTERM and SIGINT in this thread and in all that it starts later: to be called
// first in main().
void BlockTerminationSignals();
// Waits for one of them and returns its number.
int WaitForTerminationSignal();

struct DrainOptions {
  // Between red readiness and anything else, so that load balancers notice.
  absl::Duration delay;
  // For running calls.
  absl::Duration grace = absl::Seconds(5);
};

// The order in which a server goes down without failing a call: health turns red, `delay`
// passes (`pause` waits, and may return early), watches end and new calls are refused with
// UNAVAILABLE, `stop_work` returns when controllers have stopped, and once no call arrives (2 s
// at most) the server shuts down. A watchdog ends the process if a call keeps the server from
// shutting down 10 s beyond `grace`.
void Drain(Server& server, WatchHub& watches, CallGate& gate, const DrainOptions& options,
           const std::function<void(absl::Duration)>& pause,
           const std::function<void()>& stop_work);

}  // namespace certwright::rpc
