#include "tests/fakes/https_server.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/detached.hpp"
#include "boost/asio/ssl/stream.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/write.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/http.hpp"
#include "lib/base/status_macros.h"

namespace certwright::fakes {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using TlsStream = asio::ssl::stream<tcp::socket>;

constexpr auto kWait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMaxRequestBytes = 1 << 20;

std::string Text(beast::string_view text) { return std::string(text.data(), text.size()); }

Request ToRequest(beast::http::request<beast::http::string_body> message) {
  using beast::http::field;
  Request request;
  request.method = Text(message.method_string());
  request.target = Text(message.target());
  request.host = Text(message[field::host]);
  request.content_type = Text(message[field::content_type]);
  request.user_agent = Text(message[field::user_agent]);
  request.body = std::move(message.body());
  return request;
}

std::string Head(const Reply& reply, bool keep_alive) {
  std::string head =
      absl::StrCat("HTTP/1.1 ", reply.status, " ",
                   Text(beast::http::obsolete_reason(beast::http::int_to_status(reply.status))),
                   "\r\nContent-Length: ", reply.body.size(), "\r\n");
  if (!keep_alive) absl::StrAppend(&head, "Connection: close\r\n");
  for (const http::Header& header : reply.headers) {
    absl::StrAppend(&head, header.name, ": ", header.value, "\r\n");
  }
  absl::StrAppend(&head, "\r\n");
  return head;
}

runtime::Awaitable<void> Pause(TlsStream& stream, absl::Duration duration) {
  asio::steady_timer timer(stream.get_executor(), absl::ToChronoNanoseconds(duration));
  co_await timer.async_wait(kWait);
}

void Reset(TlsStream& stream) {
  error_code error;
  stream.lowest_layer().set_option(asio::socket_base::linger(true, 0), error);
  stream.lowest_layer().close(error);
}

// False once the peer is gone.
runtime::Awaitable<bool> Write(TlsStream& stream, const std::string& bytes, int per_second) {
  const std::size_t piece = per_second == 0 ? bytes.size() : std::max(1, per_second / 10);
  for (std::size_t sent = 0; sent < bytes.size(); sent += piece) {
    const auto part = asio::buffer(asio::buffer(bytes) + sent, piece);
    const auto [error, size] = co_await asio::async_write(stream, part, kWait);
    if (error) co_return false;
    if (per_second > 0) {
      co_await Pause(stream, absl::Seconds(1) * static_cast<double>(size) / per_second);
    }
  }
  co_return true;
}

// Whether the connection can be used again.
runtime::Awaitable<bool> Deliver(TlsStream& stream, const Reply& reply, bool head_only,
                                 bool keep_alive) {
  if (reply.delivery.delay > absl::ZeroDuration()) {
    co_await Pause(stream, reply.delivery.delay);
  }
  if (reply.delivery.reset) {
    Reset(stream);
    co_return false;
  }
  std::string bytes = Head(reply, keep_alive);
  if (!head_only) bytes += reply.body.substr(0, reply.delivery.cut_after.value_or(-1));
  if (!co_await Write(stream, bytes, reply.delivery.drip_per_second)) co_return false;
  co_return keep_alive && !reply.delivery.cut_after.has_value();
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpsServer>> HttpsServer::Start(
    runtime::Executor executor, const pki::TestIdentity& identity, int port, Handler handler) {
  std::unique_ptr<HttpsServer> server(new HttpsServer(std::move(executor), std::move(handler)));
  CW_RETURN_IF_ERROR(server->Listen(identity, port));
  asio::co_spawn(server->executor_, server->AcceptAll(), asio::detached);
  return server;
}

HttpsServer::HttpsServer(runtime::Executor executor, Handler handler)
    : executor_(std::move(executor)),
      handler_(std::move(handler)),
      tls_(asio::ssl::context::tls_server),
      acceptor_(executor_) {}

absl::Status HttpsServer::Listen(const pki::TestIdentity& identity, int port) {
  error_code error;
  tls_.use_certificate_chain(asio::buffer(identity.chain_pem), error);
  if (!error) {
    tls_.use_private_key(asio::buffer(identity.key_pem), asio::ssl::context::pem, error);
  }
  if (error) return absl::InternalError(absl::StrCat("TLS: ", error.message()));
  const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), static_cast<uint16_t>(port));
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on 127.0.0.1:", port, ": ", error.message()));
  }
  return absl::OkStatus();
}

runtime::Awaitable<void> HttpsServer::AcceptAll() {
  while (true) {
    tcp::socket socket(executor_);
    const auto [error] = co_await acceptor_.async_accept(socket, kWait);
    if (error) continue;
    asio::co_spawn(executor_, Serve(std::move(socket)), asio::detached);
  }
}

runtime::Awaitable<void> HttpsServer::Serve(tcp::socket socket) {
  error_code error;
  socket.set_option(tcp::no_delay(true), error);
  TlsStream stream(std::move(socket), tls_);
  std::tie(error) = co_await stream.async_handshake(TlsStream::server, kWait);
  beast::flat_buffer buffer;
  while (!error) {
    beast::http::request_parser<beast::http::string_body> parser;
    parser.body_limit(kMaxRequestBytes);
    std::tie(error, std::ignore) =
        co_await beast::http::async_read(stream, buffer, parser, kWait);
    if (error) co_return;
    const bool keep_alive = parser.keep_alive();
    const Request request = ToRequest(parser.release());
    const Reply reply = handler_(request);
    const bool head_only = request.method == "HEAD";
    if (!co_await Deliver(stream, reply, head_only, keep_alive)) co_return;
  }
}

}  // namespace certwright::fakes
