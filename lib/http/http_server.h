// HttpServer: a small HTTP/1 server for quick, read-only answers: HTTP-01
// tokens, metrics and health. It answers GET and HEAD, and 405 to all else.
//
// Hostile peers cost little: sizes, times and the number of connections, in all
// and of each client, are limited. A connection that breaks the protocol or a
// limit of size is answered (400, 413, 431) and closed; one that is too slow is
// just closed. Where there are as many connections as there may be, a new one
// takes the place of the one whose last request is longest ago, so that those
// who hold connections open keep nobody out.
//
// Threading: the handler is called on `executor`, by several threads at once;
// it must be quick, not block and not throw. Lifetime: `executor` and `timers`
// must outlive the server and, unless the executor is stopped, its last
// connection's end soon after Stop(); what the handler uses must live until
// Stop() has returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/http/http_client.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/timers.h"

namespace certwright::http {

struct HttpServerRequest {
  // "GET" or "HEAD"; the body of an answer to HEAD is not sent.
  std::string method;
  // The target's path, as sent: percent-encoding and dots are not resolved. It
  // starts with
  // '/'. The scheme and host of an absolute target, query and fragment are not
  // part of it.
  std::string path;
  // Without the '?'.
  std::string query;
  // Lower case and without port or brackets: of an absolute target, else of the
  // Host header; may be empty.
  std::string host;
};

struct HttpServerResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<Header> headers;
};

struct HttpServerLimits {
  std::size_t max_header_bytes = 8 * 1024;
  std::size_t max_body_bytes = 1024;
  // From the first byte of a request to its last, and for an answer to be
  // taken.
  absl::Duration request_timeout = absl::Seconds(10);
  // For the first byte of a connection.
  absl::Duration first_byte_timeout = absl::Seconds(5);
  // For the first byte of a next request.
  absl::Duration idle_timeout = absl::Seconds(30);
  std::size_t max_connections = 1024;
  // Of one client: an IPv4 address, or an IPv6 network of 64 bits.
  std::size_t max_connections_per_client = 256;
};

class HttpServer {
 public:
  using Handler = std::function<HttpServerResponse(const HttpServerRequest&)>;

  // `address` is "host:port" with an IP address ("0.0.0.0:80", "[::]:80",
  // "127.0.0.1:0");
  // "[::]" takes IPv4 too; port 0 is any free one. ALREADY_EXISTS when the port
  // is in use, PERMISSION_DENIED when this process may not listen there,
  // INVALID_ARGUMENT for what is no such address.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(runtime::Executor executor,
                                                           runtime::Timers& timers,
                                                           const std::string& address,
                                                           Handler handler,
                                                           HttpServerLimits limits = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const;

  // Closes the listener and every connection. A handler that is running is
  // waited for, so it must not be called from one. Afterwards the handler is
  // not called again. May be repeated.
  void Stop();

 private:
  class Listener;
  explicit HttpServer(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}

  std::shared_ptr<Listener> listener_;
};

}  // namespace certwright::http
