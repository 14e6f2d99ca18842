#include "tests/fakes/fault_proxy.h"

#include <sys/socket.h>

#include <array>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/write.hpp"

namespace certwright::fakes {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kWait = asio::as_tuple(asio::use_awaitable);

void Reset(tcp::socket& socket) {
  error_code error;
  socket.set_option(asio::socket_base::linger(true, 0), error);
  socket.close(error);
}

}  // namespace

struct FaultProxy::Link {
  explicit Link(asio::io_context& context) : client(context), server(context) {}
  void Break() {
    Reset(client);
    Reset(server);
  }

  tcp::socket client;
  tcp::socket server;
  std::size_t sent_to_client = 0;
};

FaultProxy::FaultProxy(int target_port)
    : target_port_(target_port),
      acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
      port_(acceptor_.local_endpoint().port()) {
  runtime::Spawn(context_.get_executor(), AcceptAll());
  thread_ = std::jthread([this] {
    const auto work = asio::make_work_guard(context_);
    context_.run();
  });
}

FaultProxy::~FaultProxy() {
  context_.stop();
  thread_.join();
}

std::string FaultProxy::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FaultProxy::SetWeather(Weather weather) {
  bool changed = false;
  {
    base::MutexLock lock(mutex_);
    changed = weather_.refuse != weather.refuse;
    weather_ = weather;
  }
  if (changed) Listen(!weather.refuse);
}

// The port stays bound, so that nobody else gets it.
void FaultProxy::Listen(bool listen) {
  if (!listen) {
    ::shutdown(acceptor_.native_handle(), SHUT_RD);
    return;
  }
  ::listen(acceptor_.native_handle(), SOMAXCONN);
  runtime::Spawn(context_.get_executor(), AcceptAll());
}

Weather FaultProxy::weather() const {
  base::MutexLock lock(mutex_);
  return weather_;
}

int FaultProxy::connections() const {
  base::MutexLock lock(mutex_);
  return connections_;
}

void FaultProxy::BreakAll() {
  asio::post(context_, [this] {
    for (const std::weak_ptr<Link>& weak : links_) {
      if (const std::shared_ptr<Link> link = weak.lock()) link->Break();
    }
    links_.clear();
  });
}

runtime::Awaitable<void> FaultProxy::AcceptAll() {
  while (true) {
    auto link = std::make_shared<Link>(context_);
    const auto [error] = co_await acceptor_.async_accept(link->client, kWait);
    // It does not listen any more.
    if (error) co_return;
    {
      base::MutexLock lock(mutex_);
      ++connections_;
    }
    links_.remove_if([](const std::weak_ptr<Link>& weak) { return weak.expired(); });
    links_.push_back(link);
    runtime::Spawn(context_.get_executor(), Serve(std::move(link)));
  }
}

runtime::Awaitable<void> FaultProxy::Serve(std::shared_ptr<Link> link) {
  const tcp::endpoint target(asio::ip::address_v4::loopback(),
                             static_cast<uint16_t>(target_port_));
  const auto [error] = co_await link->server.async_connect(target, kWait);
  if (error) {
    link->Break();
    co_return;
  }
  error_code ignored;
  link->client.set_option(tcp::no_delay(true), ignored);
  link->server.set_option(tcp::no_delay(true), ignored);
  std::vector<runtime::Awaitable<bool>> pumps;
  pumps.push_back(Pump(link, true));
  pumps.push_back(Pump(link, false));
  co_await runtime::WhenAll(std::move(pumps));
}

runtime::Awaitable<bool> FaultProxy::Pump(std::shared_ptr<Link> link, bool to_client) {
  tcp::socket& from = to_client ? link->server : link->client;
  tcp::socket& to = to_client ? link->client : link->server;
  std::array<char, 16384> bytes = {};
  while (true) {
    const auto [read_error, read] = co_await from.async_read_some(asio::buffer(bytes), kWait);
    std::size_t size = read;
    const Weather before = weather();
    if (before.delay > absl::ZeroDuration()) {
      asio::steady_timer timer(context_, absl::ToChronoNanoseconds(before.delay));
      co_await timer.async_wait(kWait);
    }
    const Weather now = weather();
    if (now.black_hole) {
      if (read_error) co_return false;
      continue;
    }
    if (read_error) {
      error_code ignored;
      to.shutdown(tcp::socket::shutdown_send, ignored);
      co_return false;
    }
    const bool cut =
        to_client && now.cut_after.has_value() && link->sent_to_client + size >= *now.cut_after;
    if (cut) size = *now.cut_after - std::min(*now.cut_after, link->sent_to_client);
    const auto [write_error, written] =
        co_await asio::async_write(to, asio::buffer(bytes, size), kWait);
    if (to_client) link->sent_to_client += written;
    if (cut || write_error) {
      link->Break();
      co_return false;
    }
  }
}

}  // namespace certwright::fakes
