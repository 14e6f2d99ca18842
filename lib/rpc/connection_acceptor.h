// ConnectionAcceptor: listens for a gRPC server, and bounds how many connections there are in
// all and from each peer, which gRPC 1.51 does not.
//
// gRPC is handed each connection that is admitted and owns it from then on. When gRPC is done
// with one it shuts it down before it closes it, which is seen on a duplicate of the
// descriptor: so a connection takes two, and the process must be allowed 2 * limits.total and
// what else it opens. When there are none left, accepting pauses, and goes on by itself (gRPC's
// own listener would stop listening: CVE-2023-4785).
//
// A peer that connects too often is kept waiting for a second, unread, before its connection is
// closed, as far as there is room for such: whoever tries again as soon as it is refused would
// otherwise make this thread as busy as it likes.
//
// Lifetime and order: Listen(), ServeInto(), BuildAndStart() of the builder, Start(), Stop(),
// Shutdown() of the server. Threading: one thread of its own accepts; open(),
// Disconnect() and Stop() may be called from any.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "lib/base/clock.h"
#include "lib/base/file_descriptor.h"
#include "lib/base/mutex.h"
#include "lib/base/token_buckets.h"
#include "lib/rpc/connection_counts.h"
#include "lib/rpc/listening_sockets.h"

struct epoll_event;

namespace certwright::rpc {

struct ConnectionAcceptorOptions {
  ConnectionLimits limits;
  // Of which each new connection takes one of its peer's. Null: any number.
  std::shared_ptr<base::TokenBuckets> strangers = nullptr;
  // Both are called from the thread that accepts, and must be quick: how many connections are
  // open, at each change; and why one was closed, for a metric: "total", "peer", "rate" or
  // "resources" as soon as it came, "answers" by Disconnect().
  std::function<void(int open)> on_change = [](int) {};
  std::function<void(absl::string_view limit)> on_refused = [](absl::string_view) {};
  const base::Clock* clock = &base::Clock::Real();
};

class ConnectionAcceptor {
 public:
  // Clients can connect from now on, and wait. Addresses and errors as ListenAt().
  static absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> Listen(
      const std::string& address, ConnectionAcceptorOptions options);
  ~ConnectionAcceptor() { Stop(); }
  ConnectionAcceptor(const ConnectionAcceptor&) = delete;
  ConnectionAcceptor& operator=(const ConnectionAcceptor&) = delete;

  int port() const { return listening_.port; }

  // The server of `builder` serves the connections, with these credentials. Once.
  void ServeInto(grpc::ServerBuilder& builder,
                 std::shared_ptr<grpc::ServerCredentials> credentials);
  // After the server has started.
  void Start();
  // Before the server is shut down: new clients are refused by the system from now on.
  // Connections that are open stay so, and count no more.
  void Stop();

  // Ends the connection that gRPC calls `peer`, soon, if it is still there.
  void Disconnect(const std::string& peer);

  // Connections that gRPC has.
  int open() const { return open_.load(std::memory_order_relaxed); }

 private:
  struct Connection {
    base::FileDescriptor duplicate;
    std::string peer;
    std::string uri;
  };

  ConnectionAcceptor(ListeningSockets listening, ConnectionAcceptorOptions options);
  absl::Status Prepare();
  void Run();
  void SetListening(bool listening);
  void OnReady(const epoll_event& event);
  void OnWakeUp();
  void Accept(int listener);
  void Take(int listener, base::FileDescriptor connection, const sockaddr_storage& address);
  bool Watch(int duplicate);
  void Refuse(base::FileDescriptor connection, absl::string_view limit,
              const std::string& peer);
  void KeepWaiting(base::FileDescriptor connection);
  void CloseDelayed();
  // Until the next of them is to be closed, for epoll_wait(2).
  int MillisecondsLeft() const;
  void LogRefused(absl::string_view limit, const std::string& peer);
  void Forget(int duplicate);
  void CountChanged();

  const ConnectionAcceptorOptions options_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> grpc_;
  base::FileDescriptor epoll_;
  // Written to when there is something in the two below.
  base::FileDescriptor wake_up_;
  base::Mutex mutex_;
  bool stopping_ CW_GUARDED_BY(mutex_) = false;
  std::vector<std::string> to_disconnect_ CW_GUARDED_BY(mutex_);
  std::thread thread_;
  std::atomic<int> open_{0};

  // Of the thread alone, while it runs.
  ListeningSockets listening_;
  bool stopped_ = false;
  // No connection can be taken at the moment.
  bool paused_ = false;
  ConnectionCounts counts_;
  // By the duplicate's number.
  std::map<int, Connection> connections_;
  struct Delayed {
    base::MonotonicTime until;
    base::FileDescriptor connection;
  };
  // Refused, and kept waiting. The first is the next to be closed.
  std::deque<Delayed> delayed_;
  int refused_since_logged_ = 0;
  base::MonotonicTime next_log_{-absl::InfiniteDuration()};
};

}  // namespace certwright::rpc
