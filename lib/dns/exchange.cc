#include "lib/dns/exchange.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/buffer.hpp"
#include "boost/asio/error.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ip/udp.hpp"
#include "boost/asio/read.hpp"
#include "boost/asio/write.hpp"
#include "lib/base/status_macros.h"

namespace certwright::dns {
namespace {

using boost::asio::ip::tcp;
using boost::asio::ip::udp;
using boost::system::error_code;

constexpr auto kAsTuple = boost::asio::as_tuple(boost::asio::use_awaitable);
constexpr std::size_t kMaxPacket = 65535;

// Closes a socket, on its own strand, when the context ends, which ends what waits for it.
template <typename Socket>
class CloseAtEnd {
 public:
  CloseAtEnd(runtime::Timers& timers, const runtime::Context& context,
             const std::shared_ptr<Socket>& socket)
      : timers_(timers), context_(context) {
    auto close = [weak = std::weak_ptr<Socket>(socket), executor = socket->get_executor()] {
      boost::asio::post(executor, [weak] {
        error_code ignored;
        if (auto alive = weak.lock()) alive->close(ignored);
      });
    };
    timer_ = timers.ScheduleAt(context.deadline(), close);
    if (context.cancellation() != nullptr) {
      registration_ = context.cancellation()->Register(close);
    }
  }
  ~CloseAtEnd() {
    timers_.Cancel(timer_);
    if (context_.cancellation() != nullptr) context_.cancellation()->Unregister(registration_);
  }
  CloseAtEnd(const CloseAtEnd&) = delete;
  CloseAtEnd& operator=(const CloseAtEnd&) = delete;

 private:
  runtime::Timers& timers_;
  const runtime::Context context_;
  runtime::Timers::TimerId timer_ = 0;
  uint64_t registration_ = 0;
};

absl::Status SocketError(absl::string_view what, const error_code& error) {
  // CloseAtEnd; Exchange() says why.
  if (error == boost::asio::error::operation_aborted) return absl::UnavailableError(what);
  return absl::UnavailableError(absl::StrCat(what, ": ", error.message()));
}

runtime::Awaitable<absl::StatusOr<std::string>> ExchangeUdp(runtime::Timers& timers,
                                                            runtime::Context context,
                                                            const udp::endpoint& server,
                                                            const std::string& packet,
                                                            AcceptAnswer& accept) {
  auto socket = std::make_shared<udp::socket>(co_await boost::asio::this_coro::executor);
  error_code error;
  socket->open(server.protocol(), error);
  // Connected, so that the kernel drops what other addresses send.
  if (!error) socket->connect(server, error);
  if (error) co_return SocketError("cannot be reached", error);
  const CloseAtEnd close_at_end(timers, context, socket);
  std::tie(error, std::ignore) =
      co_await socket->async_send(boost::asio::buffer(packet), kAsTuple);
  if (error) co_return SocketError("cannot be sent to", error);
  std::string buffer(kMaxPacket, '\0');
  absl::Status turned_down;
  while (true) {
    std::size_t size = 0;
    std::tie(error, size) =
        co_await socket->async_receive(boost::asio::buffer(buffer), kAsTuple);
    if (error && !turned_down.ok()) co_return turned_down;
    if (error) co_return SocketError("gave no answer", error);
    const absl::string_view answer(buffer.data(), size);
    absl::Status status = accept(answer);
    if (status.ok()) co_return std::string(answer);
    turned_down =
        absl::UnavailableError(absl::StrCat("gave an answer that ", status.message()));
  }
}

runtime::Awaitable<absl::StatusOr<std::string>> ExchangeTcp(runtime::Timers& timers,
                                                            runtime::Context context,
                                                            const tcp::endpoint& server,
                                                            const std::string& packet,
                                                            AcceptAnswer& accept) {
  auto socket = std::make_shared<tcp::socket>(co_await boost::asio::this_coro::executor);
  error_code error;
  const CloseAtEnd close_at_end(timers, context, socket);
  std::tie(error) = co_await socket->async_connect(server, kAsTuple);
  if (error) co_return SocketError("cannot be connected to", error);
  // Length and message in one segment (RFC 7766 §8).
  std::string framed = {static_cast<char>(packet.size() >> 8),
                        static_cast<char>(packet.size() & 0xFF)};
  framed += packet;
  std::tie(error, std::ignore) =
      co_await boost::asio::async_write(*socket, boost::asio::buffer(framed), kAsTuple);
  if (error) co_return SocketError("cannot be sent to", error);
  std::string answer(2, '\0');
  std::tie(error, std::ignore) =
      co_await boost::asio::async_read(*socket, boost::asio::buffer(answer), kAsTuple);
  if (error) co_return SocketError("gave no answer", error);
  answer.resize(static_cast<std::size_t>(static_cast<unsigned char>(answer[0])) << 8 |
                static_cast<unsigned char>(answer[1]));
  std::tie(error, std::ignore) =
      co_await boost::asio::async_read(*socket, boost::asio::buffer(answer), kAsTuple);
  if (error) co_return SocketError("gave no whole answer", error);
  absl::Status status = accept(answer);
  if (!status.ok()) {
    co_return absl::UnavailableError(absl::StrCat("gave an answer that ", status.message()));
  }
  co_return answer;
}

}  // namespace

runtime::Awaitable<absl::StatusOr<std::string>> Exchange(
    runtime::Timers& timers, runtime::Context context, Transport transport,
    ServerAddress server, std::string packet, absl::Duration timeout, AcceptAnswer accept) {
  CW_CO_RETURN_IF_ERROR(context.Check());
  const bool use_udp = transport == Transport::kUdp;
  const std::string where =
      absl::StrCat(server.ToString(), use_udp ? " over UDP" : " over TCP");
  error_code error;
  const auto ip = boost::asio::ip::make_address(server.ip, error);
  if (error || packet.size() > kMaxPacket) {
    co_return absl::InvalidArgumentError(absl::StrCat(where,
                                                      ": no such address, or a message "
                                                      "of over 65535 octets"));
  }
  const runtime::Context attempt = context.Within(timeout);
  absl::StatusOr<std::string> answer;
  if (use_udp) {
    answer =
        co_await ExchangeUdp(timers, attempt, udp::endpoint(ip, server.port), packet, accept);
  } else {
    answer =
        co_await ExchangeTcp(timers, attempt, tcp::endpoint(ip, server.port), packet, accept);
  }
  if (answer.ok()) co_return answer;
  if (absl::Status status = context.Check(); !status.ok())
    co_return base::Annotate(status, where);
  const bool late = attempt.Remaining() <= absl::ZeroDuration();
  co_return absl::UnavailableError(absl::StrCat(
      where, ": ", answer.status().message(),
      late ? absl::StrCat(" (gave up after ", absl::FormatDuration(timeout), ")") : ""));
}

}  // namespace certwright::dns
