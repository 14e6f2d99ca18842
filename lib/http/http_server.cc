#include "lib/http/http_server.h"

#include <condition_variable>
#include <optional>
#include <unordered_map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ip/v6_only.hpp"
#include "boost/asio/strand.hpp"
#include "lib/base/mutex.h"
#include "lib/base/status_macros.h"
#include "lib/http/connection_shares.h"
#include "lib/http/http_connection.h"

namespace certwright::http {
namespace {

using boost::asio::ip::tcp;

// Before accept() is tried again when the process has no file descriptor left, say.
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

absl::StatusOr<tcp::endpoint> ParseEndpoint(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("\"", address, "\" is not host:port"));
  }
  if (absl::StartsWith(host, "[") && absl::EndsWith(host, "]")) {
    host = host.substr(1, host.size() - 2);
  }
  boost::system::error_code error;
  const auto ip = boost::asio::ip::make_address(host, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", host, "\" is not an IP address to listen at"));
  }
  return tcp::endpoint(ip, static_cast<uint16_t>(port));
}

absl::Status ListenError(const std::string& address, const boost::system::error_code& error) {
  const std::string message = absl::StrCat("cannot listen at ", address, ": ", error.message());
  if (error == boost::asio::error::address_in_use) {
    return absl::AlreadyExistsError(
        absl::StrCat(message, "; choose another port or stop what listens there"));
  }
  if (error == boost::asio::error::access_denied) {
    return absl::PermissionDeniedError(
        absl::StrCat(message, "; ports below 1024 need CAP_NET_BIND_SERVICE"));
  }
  return absl::UnavailableError(message);
}

}  // namespace

class HttpServer::Listener final : public std::enable_shared_from_this<HttpServer::Listener> {
 public:
  Listener(runtime::Executor executor, runtime::Timers& timers, Handler handler,
           HttpServerLimits limits)
      : executor_(executor),
        timers_(timers),
        handler_(std::move(handler)),
        limits_(limits),
        acceptor_(executor),
        shares_(limits.max_connections, limits.max_connections_per_client) {}

  absl::Status Listen(const std::string& address) {
    CW_ASSIGN_OR_RETURN(const tcp::endpoint endpoint, ParseEndpoint(address));
    base::MutexLock lock(mutex_);
    boost::system::error_code error;
    acceptor_.open(endpoint.protocol(), error);
    // Only lets a port be used again right after its last server has gone.
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && endpoint.address().is_v6()) {
      acceptor_.set_option(boost::asio::ip::v6_only(false), error);
    }
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(boost::asio::socket_base::max_listen_connections, error);
    if (error) return ListenError(address, error);
    port_ = acceptor_.local_endpoint(error).port();
    // The connections keep what they share alive, but not this.
    setup_ = std::make_shared<const HttpConnectionSetup>(HttpConnectionSetup{
        timers_, limits_, [weak = weak_from_this()](const HttpServerRequest& request) {
          auto self = weak.lock();
          return self == nullptr ? std::nullopt : self->Handle(request);
        }});
    Accept();
    return absl::OkStatus();
  }

  uint16_t port() const { return port_; }

  void Stop() {
    base::MutexLock lock(mutex_);
    stopped_ = true;
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    if (pause_ != 0) timers_.Cancel(pause_);
    pause_ = 0;
    for (const auto& [id, connection] : connections_) connection->Abort();
    while (handling_ > 0) idle_.wait(mutex_);
  }

 private:
  std::optional<HttpServerResponse> Handle(const HttpServerRequest& request) {
    {
      base::MutexLock lock(mutex_);
      if (stopped_) return std::nullopt;
      ++handling_;
    }
    HttpServerResponse response = handler_(request);
    base::MutexLock lock(mutex_);
    if (--handling_ == 0 && stopped_) idle_.notify_all();
    return response;
  }

  void Accept() CW_REQUIRES(mutex_) {
    const runtime::Executor strand = boost::asio::make_strand(executor_);
    acceptor_.async_accept(strand,
                           [self = shared_from_this()](const boost::system::error_code& error,
                                                       tcp::socket socket) {
                             if (auto connection = self->OnAccept(error, std::move(socket)))
                               connection->Start();
                           });
  }

  // Null if there is none to be served.
  std::shared_ptr<HttpConnection> OnAccept(const boost::system::error_code& error,
                                           tcp::socket socket) {
    base::MutexLock lock(mutex_);
    if (stopped_) return nullptr;
    if (error && error != boost::asio::error::connection_aborted) {
      PauseAccepting();
      return nullptr;
    }
    Accept();
    if (error) return nullptr;
    boost::system::error_code gone;
    const tcp::endpoint client = socket.remote_endpoint(gone);
    if (gone) return nullptr;
    const ConnectionShares::Admission admission = shares_.Admit(ClientAt(client.address()));
    if (admission.closed.has_value()) connections_.at(*admission.closed)->Abort();
    return Add(admission.admitted, std::move(socket));
  }

  std::shared_ptr<HttpConnection> Add(ConnectionShares::Id id, tcp::socket socket)
      CW_REQUIRES(mutex_) {
    HttpConnection::Callbacks callbacks;
    callbacks.on_end = [self = shared_from_this(), id] {
      base::MutexLock lock(self->mutex_);
      self->shares_.Remove(id);
      self->connections_.erase(id);
    };
    callbacks.on_request = [self = shared_from_this(), id] {
      base::MutexLock lock(self->mutex_);
      self->shares_.Touch(id);
    };
    auto connection =
        std::make_shared<HttpConnection>(std::move(socket), setup_, std::move(callbacks));
    connections_.emplace(id, connection.get());
    return connection;
  }

  void PauseAccepting() CW_REQUIRES(mutex_) {
    pause_ = timers_.ScheduleAfter(kAcceptPause, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (self == nullptr) return;
      base::MutexLock lock(self->mutex_);
      self->pause_ = 0;
      if (!self->stopped_) self->Accept();
    });
  }

  const runtime::Executor executor_;
  runtime::Timers& timers_;
  const Handler handler_;
  const HttpServerLimits limits_;
  std::shared_ptr<const HttpConnectionSetup> setup_;
  uint16_t port_ = 0;

  base::Mutex mutex_;
  tcp::acceptor acceptor_ CW_GUARDED_BY(mutex_);
  bool stopped_ CW_GUARDED_BY(mutex_) = false;
  int handling_ CW_GUARDED_BY(mutex_) = 0;
  runtime::Timers::TimerId pause_ CW_GUARDED_BY(mutex_) = 0;
  ConnectionShares shares_ CW_GUARDED_BY(mutex_);
  // Also those that were told to end. Each takes itself out before it is destroyed.
  std::unordered_map<ConnectionShares::Id, HttpConnection*> connections_ CW_GUARDED_BY(mutex_);
  std::condition_variable_any idle_;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(runtime::Executor executor,
                                                              runtime::Timers& timers,
                                                              const std::string& address,
                                                              Handler handler,
                                                              HttpServerLimits limits) {
  auto listener =
      std::make_shared<Listener>(std::move(executor), timers, std::move(handler), limits);
  CW_RETURN_IF_ERROR(listener->Listen(address));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(listener)));
}

HttpServer::~HttpServer() { Stop(); }
uint16_t HttpServer::port() const { return listener_->port(); }
void HttpServer::Stop() { listener_->Stop(); }

}  // namespace certwright::http
