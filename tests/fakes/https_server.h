// HttpsServer: HTTP/1.1 over TLS on a loopback port, whose handler says of each answer not
// only what it is but also how badly it is delivered.
//
// Threading: the handler runs on the server's threads, several at once; it must not block for
// long. Lifetime: what it uses must outlive the server.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ssl/context.hpp"
#include "lib/http/http_client.h"
#include "lib/pki/test_ca.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::fakes {

struct Request {
  std::string method;
  std::string target;
  // The Host header, as sent.
  std::string host;
  std::string content_type;
  std::string user_agent;
  std::string body;
};

struct Delivery {
  // Before the first octet.
  absl::Duration delay = {};
  // Octets a second; 0: no limit.
  int drip_per_second = 0;
  // Close after so many octets of the body, whose full length was announced.
  std::optional<std::size_t> cut_after = {};
  // Break the connection with a TCP reset instead of answering.
  bool reset = false;
};

struct Reply {
  int status = 200;
  std::vector<http::Header> headers = {};
  std::string body = {};
  Delivery delivery = {};
};

class HttpsServer {
 public:
  using Handler = std::function<Reply(const Request&)>;

  // On 127.0.0.1:`port`, 0 being a free one. Requests over 1 MiB are not answered.
  static absl::StatusOr<std::unique_ptr<HttpsServer>> Start(runtime::Executor executor,
                                                            const pki::TestIdentity& identity,
                                                            int port, Handler handler);
  HttpsServer(const HttpsServer&) = delete;
  HttpsServer& operator=(const HttpsServer&) = delete;

  int port() const { return acceptor_.local_endpoint().port(); }

 private:
  HttpsServer(runtime::Executor executor, Handler handler);
  absl::Status Listen(const pki::TestIdentity& identity, int port);
  runtime::Awaitable<void> AcceptAll();
  runtime::Awaitable<void> Serve(boost::asio::ip::tcp::socket socket);

  const runtime::Executor executor_;
  const Handler handler_;
  boost::asio::ssl::context tls_;
  boost::asio::ip::tcp::acceptor acceptor_;
};

}  // namespace certwright::fakes
