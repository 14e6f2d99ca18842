// HttpConnection: one accepted connection of an HttpServer: reads requests one after the
// other, has them answered, and ends at the first broken rule.
//
// Ownership: it keeps itself alive until it ends. Threading: Start() once; Abort() from any
// thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "absl/strings/string_view.h"
#include "boost/asio/ip/tcp.hpp"
#include "lib/base/mutex.h"
#include "lib/http/http_server.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/timers.h"

namespace certwright::http {

// What the connections of one server share.
struct HttpConnectionSetup {
  runtime::Timers& timers;
  HttpServerLimits limits;
  // nullopt once the server is stopped.
  std::function<std::optional<HttpServerResponse>(const HttpServerRequest&)> handle;
};

// The request that a target (RFC 9112 §3.2) and a Host header make, but for its method;
// nullopt if they make none.
std::optional<HttpServerRequest> ParseTarget(absl::string_view target, absl::string_view host);

class HttpConnection final : public std::enable_shared_from_this<HttpConnection> {
 public:
  struct Callbacks {
    // Once, when the connection is closed.
    std::function<void()> on_end;
    // A whole request has come.
    std::function<void()> on_request;
  };

  // `socket` has a strand as executor.
  HttpConnection(boost::asio::ip::tcp::socket socket,
                 std::shared_ptr<const HttpConnectionSetup> setup, Callbacks callbacks);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  void Start();
  // Makes what it waits for fail, so that it ends soon. No timer is used afterwards.
  void Abort();

 private:
  class Exchange;

  // The connection is aborted `timeout` from now, unless this is called again before.
  void SetDeadline(absl::Duration timeout);
  void ScheduleTimer(base::MonotonicTime when) CW_REQUIRES(mutex_);
  void OnTimer();
  void ShutDown() CW_REQUIRES(mutex_);
  void Close();

  boost::asio::ip::tcp::socket socket_;
  const std::shared_ptr<const HttpConnectionSetup> setup_;
  const Callbacks callbacks_;

  base::Mutex mutex_;
  bool open_ CW_GUARDED_BY(mutex_) = true;
  bool aborted_ CW_GUARDED_BY(mutex_) = false;
  base::MonotonicTime deadline_ CW_GUARDED_BY(mutex_){absl::InfiniteDuration()};
  // 0 when no timer is set. It may be set for earlier than the deadline.
  runtime::Timers::TimerId timer_ CW_GUARDED_BY(mutex_) = 0;
  base::MonotonicTime timer_at_ CW_GUARDED_BY(mutex_){absl::ZeroDuration()};
};

}  // namespace certwright::http
