// Server: the gRPC server of a service: listener, limits, health, reflection, mutual TLS, and
// an orderly end.
//
// All calls come in by one generic service of gRPC's, and so does each message only when it is
// asked for: with services that it knows, gRPC reads a message of a call before it tells of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/server.h"
#include "lib/base/token_buckets.h"
#include "lib/rpc/access.h"
#include "lib/rpc/call.h"
#include "lib/rpc/connection_counts.h"
#include "lib/rpc/health.h"
#include "lib/rpc/reflection.h"
#include "lib/rpc/service.h"
#include "lib/rpc/tls.h"

namespace certwright::rpc {

struct ServerLimits {
  // Of each of the two listeners.
  ConnectionLimits connections;
  // Of each address: connections begun, and calls made while nobody knows who calls.
  // Connections with more are closed.
  base::TokenBucketOptions strangers = {.per_second = 20, .burst = 200};
  // Objects have at most 128 KiB, and no message carries more than one.
  int max_message_bytes = 256 << 10;
  int max_concurrent_streams = 100;
  int max_metadata_bytes = 16 << 10;
  absl::Duration handshake_timeout = absl::Seconds(10);
  // Without a call.
  absl::Duration max_connection_idle = absl::Minutes(10);
  // Then the client is asked to connect anew, and calls that still run are ended 30 s later, or
  // as much later as it is if that is less.
  absl::Duration max_connection_age = absl::Hours(1);
  // For what gRPC has read and nobody has taken, of all connections. 0: no bound.
  int64_t buffer_bytes = 0;
};

struct ServerOptions {
  // "host:port"; port 0 takes a free one.
  std::string listen_address;
  // A second listener that serves health alone, in plaintext, for probes. Empty: none.
  std::string health_address;
  // Plaintext without.
  std::optional<TlsFiles> tls;
  bool reflection = true;
  ServerLimits limits;
  // How many connections are open, at each change, and why one was refused: for metrics. As
  // ConnectionAcceptorOptions has them.
  std::function<void(int open)> on_connections_change = [](int) {};
  std::function<void(absl::string_view limit)> on_connection_refused = [](absl::string_view) {};
};

class Server {
 public:
  // Listens and answers; health is NOT_SERVING until SetServing(). `calls` is what the services
  // were made with, whose permissions must have a rule for every method of theirs; both must
  // outlive the server. ALREADY_EXISTS if an address is in use, INVALID_ARGUMENT if it is none,
  // FAILED_PRECONDITION if a method has no rule.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       const CallEnvironment& calls,
                                                       const std::vector<Service*>& services);
  ~Server();

  // The port of listen_address.
  int port() const;
  // 0 without a second listener.
  int health_port() const;

  // The whole server and each service.
  void SetServing(bool serving);

  // No new calls; those that run may finish within `grace` and are cancelled then. Every
  // watch must have been ended before.
  void Shutdown(absl::Duration grace);

 private:
  struct Listener;

  Server() = default;

  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Listener> probes_;
};

// Blocks SIGTERM and SIGINT in this thread and in all that it starts later: to be called
// first in main().
void BlockTerminationSignals();
// Waits for one of them and returns its number.
int WaitForTerminationSignal();

struct DrainOptions {
  // Between red readiness and anything else, so that load balancers notice.
  absl::Duration delay;
  // For `stop_work` and running calls together.
  absl::Duration grace = absl::Seconds(5);
};

// The order in which a server goes down without failing a call: health turns red, `delay`
// passes (`pause` waits, and may return early), watches end and new calls are refused with
// UNAVAILABLE, `stop_work` returns when controllers have stopped, and once no call arrives (2 s
// at most) the server shuts down. What runs is cancelled when `grace` is over.
void Drain(Server& server, const CallEnvironment& calls, const DrainOptions& options,
           const std::function<void(absl::Duration)>& pause,
           const std::function<void()>& stop_work);

}  // namespace certwright::rpc
