// CurlLoop: drives libcurl's multi handle from Asio: it waits for libcurl's sockets and its
// timer, and ends transfers at their contexts' deadline or cancellation.
//
// Threading: Start() and Shutdown() may be called from any thread. All else runs on one
// strand. A mutex, which is contended only by Shutdown(), is held whenever libcurl is called,
// so that Shutdown() need not wait for the strand, whose executor may be stopped already.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "boost/asio/posix/basic_stream_descriptor.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/strand.hpp"
#include "curl/curl.h"
#include "lib/base/mutex.h"
#include "lib/http/curl_transfer.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::http {

struct CurlLoopOptions {
  CurlTransferOptions transfer;
  int max_connections_per_host = 16;
};

class CurlLoop final : public std::enable_shared_from_this<CurlLoop> {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;

  CurlLoop(runtime::Executor executor, runtime::Timers& timers, CurlLoopOptions options);
  ~CurlLoop();
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;

  // Runs `transfer`; `done` gets what CurlTransfer::Finish() says, or the context's end.
  void Start(runtime::Context context, std::shared_ptr<CurlTransfer> transfer, Done done);

  // Ends all transfers as CANCELLED, now and from now on, and closes all connections.
  void Shutdown();

 private:
  using Strand = boost::asio::strand<runtime::Executor>;
  using SteadyTime = std::chrono::steady_clock::time_point;

  struct Active {
    CurlLoop* loop = nullptr;
    uint64_t id = 0;
    std::shared_ptr<CurlTransfer> transfer;
    std::optional<runtime::Context> context;
    Done done;
    CURL* easy = nullptr;
    runtime::Timers::TimerId timer = 0;
    uint64_t registration = 0;
  };

  // One socket that libcurl uses. A wait, once begun, is left standing when libcurl loses
  // interest: on a kept-alive connection the next request finds it already there.
  struct Socket {
    Socket(const Strand& strand, curl_socket_t fd, bool owned)
        : fd(fd), owned(owned), descriptor(strand) {}
    const curl_socket_t fd;
    // Made by OpenSocket() and closed by CloseSocket(); all others libcurl closes.
    const bool owned;
    bool open = true;
    int wanted = CURL_POLL_NONE;
    bool reading = false;
    bool writing = false;
    boost::asio::posix::basic_stream_descriptor<Strand> descriptor;
  };

  // All of these with the mutex held.
  void Begin(std::unique_ptr<Active> active);
  void Bound(Active& active);
  void Drive(curl_socket_t fd, int events);
  void CollectFinished();
  void End(Active* active, absl::Status status);
  CURL* TakeEasy();
  void ReturnEasy(CURL* easy);
  void Watch(const std::shared_ptr<Socket>& socket);
  void Wait(const std::shared_ptr<Socket>& socket, int event);
  void Arm();
  void SocketWanted(curl_socket_t fd, int what);
  void TimerWanted(long timeout_ms);
  curl_socket_t OpenSocket(CurlTransfer& transfer, const curl_sockaddr& address);
  int CloseSocket(curl_socket_t fd);

  // These take the mutex.
  void Interrupt(uint64_t id, absl::Status status);
  void OnReady(const std::shared_ptr<Socket>& socket, int event, bool failed);
  void OnTimer();

  const Strand strand_;
  runtime::Timers& timers_;
  const CurlLoopOptions options_;

  base::Mutex mutex_;
  // Guarded by mutex_, which libcurl's callbacks cannot show to the compiler.
  CURLM* multi_;
  bool closed_ = false;
  uint64_t next_id_ = 1;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Active>> active_;
  absl::flat_hash_map<curl_socket_t, std::shared_ptr<Socket>> sockets_;
  std::vector<CURL*> idle_easies_;
  // libcurl asked to be called at once, or at due_. The timer may be set for earlier.
  bool due_now_ = false;
  std::optional<SteadyTime> due_;
  std::optional<SteadyTime> armed_for_;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                    boost::asio::wait_traits<std::chrono::steady_clock>, Strand>
      timer_;
};

}  // namespace certwright::http
