#include "lib/http/http_connection.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/http.hpp"
#include "lib/base/clock.h"

namespace certwright::http {
namespace {

namespace beast = boost::beast;

constexpr auto kWait = boost::asio::as_tuple(boost::asio::use_awaitable);
// How much of what a refused peer still sends is read, so that the answer is not lost to a
// reset, and for how long.
constexpr std::size_t kMaxDrainBytes = 64 * 1024;
constexpr absl::Duration kDrainTimeout = absl::Seconds(1);

HttpServerResponse ErrorResponse(int status, std::string text) {
  HttpServerResponse response;
  response.status = status;
  response.body = std::move(text) + "\n";
  return response;
}

HttpServerResponse RefusalOf(const boost::system::error_code& error) {
  if (error == beast::http::error::header_limit ||
      error == beast::http::error::buffer_overflow) {
    return ErrorResponse(431, "the request's header is too large");
  }
  if (error == beast::http::error::body_limit) {
    return ErrorResponse(413, "the request's body is too large");
  }
  return ErrorResponse(400, "this is no HTTP/1 request");
}

// The host of "host", "host:port", "[v6]" or "[v6]:port", in lower case.
std::string HostOf(absl::string_view authority) {
  if (absl::StartsWith(authority, "[")) {
    return absl::AsciiStrToLower(authority.substr(1, authority.find(']') - 1));
  }
  return absl::AsciiStrToLower(authority.substr(0, authority.find(':')));
}

absl::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

std::string HttpDate(absl::Time time) {
  return absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT", time, absl::UTCTimeZone());
}

}  // namespace

std::optional<HttpServerRequest> ParseTarget(absl::string_view target, absl::string_view host) {
  bool absolute = false;
  for (const absl::string_view scheme : {"http://", "https://"}) {
    if (!absl::StartsWithIgnoreCase(target, scheme)) continue;
    absolute = true;
    target.remove_prefix(scheme.size());
    host = target.substr(0, target.find_first_of("/?#"));
    target.remove_prefix(host.size());
    break;
  }
  HttpServerRequest request;
  request.host = HostOf(host);
  target = target.substr(0, target.find('#'));
  const std::size_t question = target.find('?');
  request.path = std::string(target.substr(0, question));
  if (question != absl::string_view::npos)
    request.query = std::string(target.substr(question + 1));
  if (absolute && request.path.empty()) request.path = "/";
  if (!absl::StartsWith(request.path, "/")) return std::nullopt;
  return request;
}

// The requests of one connection, on its strand.
class HttpConnection::Exchange {
 public:
  explicit Exchange(std::shared_ptr<HttpConnection> connection)
      : connection_(std::move(connection)),
        limits_(connection_->setup_->limits),
        buffer_(limits_.max_header_bytes + limits_.max_body_bytes) {}

  runtime::Awaitable<bool> Run() {
    bool go_on = true;
    while (go_on) {
      go_on = co_await AwaitFirstByte();
      if (go_on) go_on = co_await AnswerOne();
    }
    connection_->Close();
    co_return true;
  }

 private:
  using Parser = beast::http::request_parser<beast::http::string_body>;

  runtime::Awaitable<bool> AwaitFirstByte() {
    if (buffer_.size() > 0) co_return true;
    connection_->SetDeadline(answered_one_ ? limits_.idle_timeout : limits_.first_byte_timeout);
    auto [error, count] =
        co_await connection_->socket_.async_read_some(buffer_.prepare(2048), kWait);
    buffer_.commit(count);
    co_return !error;
  }

  // Whether there may be another one after it.
  runtime::Awaitable<bool> AnswerOne() {
    connection_->SetDeadline(limits_.request_timeout);
    Parser parser;
    parser.header_limit(static_cast<uint32_t>(limits_.max_header_bytes));
    parser.body_limit(limits_.max_body_bytes);
    auto [error, count] =
        co_await beast::http::async_read(connection_->socket_, buffer_, parser, kWait);
    if (IsEnd(error)) co_return false;
    if (error) {
      HttpServerResponse refusal = RefusalOf(error);
      co_await Write(std::move(refusal), /*head=*/false, /*version=*/11, /*keep_alive=*/false);
      co_await Drain();
      co_return false;
    }
    connection_->callbacks_.on_request();
    const auto& request = parser.get();
    const bool head = request.method() == beast::http::verb::head;
    std::optional<HttpServerResponse> response = Answer(request, head);
    if (!response.has_value()) co_return false;
    const bool keep_alive = request.keep_alive() && response->status != 400;
    const unsigned version = request.version();
    const bool written = co_await Write(*std::move(response), head, version, keep_alive);
    answered_one_ = true;
    if (written && !keep_alive) co_await Drain();
    co_return written&& keep_alive;
  }

  // Errors that are not about what the peer sent.
  static bool IsEnd(const boost::system::error_code& error) {
    if (!error) return false;
    return error == beast::http::error::end_of_stream ||
           error == beast::http::error::partial_message ||
           error.category() == boost::asio::error::get_system_category() ||
           error.category() == boost::asio::error::get_misc_category();
  }

  std::optional<HttpServerResponse> Answer(const Parser::value_type& request, bool head) {
    if (!head && request.method() != beast::http::verb::get) {
      HttpServerResponse response = ErrorResponse(405, "only GET and HEAD are answered");
      response.headers.push_back({"Allow", "GET, HEAD"});
      return response;
    }
    const auto hosts = request.count(beast::http::field::host);
    if (hosts > 1 || (hosts == 0 && request.version() >= 11)) {
      return ErrorResponse(400, "the request must have one Host header");
    }
    auto parsed = ParseTarget(View(request.target()), View(request[beast::http::field::host]));
    if (!parsed.has_value()) return ErrorResponse(400, "the request's target is not one");
    parsed->method = head ? "HEAD" : "GET";
    return connection_->setup_->handle(*parsed);
  }

  runtime::Awaitable<bool> Write(HttpServerResponse answer, bool head, unsigned version,
                                 bool keep_alive) {
    beast::http::response<beast::http::string_body> response;
    response.version(version);
    response.result(static_cast<unsigned>(answer.status));
    response.set(beast::http::field::date, HttpDate(connection_->setup_->timers.clock().Now()));
    response.set(beast::http::field::content_type, answer.content_type);
    response.set("X-Content-Type-Options", "nosniff");
    for (const Header& header : answer.headers) response.insert(header.name, header.value);
    response.keep_alive(keep_alive);
    response.content_length(answer.body.size());
    if (!head) response.body() = std::move(answer.body);
    auto [error, count] =
        co_await beast::http::async_write(connection_->socket_, response, kWait);
    co_return !error;
  }

  // Reads until the peer has seen the end of what was sent, and closes its side.
  runtime::Awaitable<void> Drain() {
    boost::system::error_code ignored;
    connection_->socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
    connection_->SetDeadline(kDrainTimeout);
    buffer_.clear();
    for (std::size_t drained = 0; drained < kMaxDrainBytes;) {
      auto [error, count] =
          co_await connection_->socket_.async_read_some(buffer_.prepare(2048), kWait);
      if (error) break;
      drained += count;
    }
  }

  const std::shared_ptr<HttpConnection> connection_;
  const HttpServerLimits& limits_;
  beast::flat_buffer buffer_;
  bool answered_one_ = false;
};

HttpConnection::HttpConnection(boost::asio::ip::tcp::socket socket,
                               std::shared_ptr<const HttpConnectionSetup> setup,
                               Callbacks callbacks)
    : socket_(std::move(socket)), setup_(std::move(setup)), callbacks_(std::move(callbacks)) {}

HttpConnection::~HttpConnection() { Close(); }

void HttpConnection::Start() {
  boost::system::error_code ignored;
  socket_.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  auto run = [](std::shared_ptr<HttpConnection> self) -> runtime::Awaitable<bool> {
    Exchange exchange(std::move(self));
    co_return co_await exchange.Run();
  };
  runtime::SpawnOnThen<bool>(socket_.get_executor(), run(shared_from_this()), [](bool) {});
}

void HttpConnection::SetDeadline(absl::Duration timeout) {
  base::MutexLock lock(mutex_);
  if (!open_ || aborted_) return;
  deadline_ = setup_->timers.clock().MonotonicNow() + timeout;
  if (timer_ != 0 && timer_at_ <= deadline_) return;
  if (timer_ != 0) setup_->timers.Cancel(timer_);
  ScheduleTimer(deadline_);
}

void HttpConnection::ScheduleTimer(base::MonotonicTime when) {
  timer_at_ = when;
  timer_ = setup_->timers.ScheduleAt(when, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->OnTimer();
  });
}

void HttpConnection::OnTimer() {
  base::MutexLock lock(mutex_);
  timer_ = 0;
  if (!open_ || aborted_) return;
  if (setup_->timers.clock().MonotonicNow() < deadline_) return ScheduleTimer(deadline_);
  ShutDown();
}

void HttpConnection::Abort() {
  base::MutexLock lock(mutex_);
  if (open_) ShutDown();
}

// The socket's own methods are for its strand; the system call is for everybody.
void HttpConnection::ShutDown() {
  aborted_ = true;
  if (timer_ != 0) setup_->timers.Cancel(timer_);
  timer_ = 0;
  ::shutdown(socket_.native_handle(), SHUT_RDWR);
}

void HttpConnection::Close() {
  {
    base::MutexLock lock(mutex_);
    if (!open_) return;
    open_ = false;
    if (timer_ != 0) setup_->timers.Cancel(timer_);
    boost::system::error_code ignored;
    socket_.close(ignored);
  }
  callbacks_.on_end();
}

}  // namespace certwright::http
