// FaultProxy: stands between two programs as a TCP proxy on a free loopback port, and does to
// their connections what a network does on bad days. What it does can be changed at any time
// and holds for connections that are open as well.
//
// Threading: all methods from any thread.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "lib/base/mutex.h"
#include "lib/runtime/awaitable.h"

namespace certwright::fakes {

struct Weather {
  // New connections are refused, as where nothing listens.
  bool refuse = false;
  // Octets vanish, in both directions, and no end of a connection is told.
  bool black_hole = false;
  // Before anything is passed on, each way.
  absl::Duration delay = {};
  // Octets that the client of each connection gets before it is reset.
  std::optional<std::size_t> cut_after = {};
};

class FaultProxy {
 public:
  // To 127.0.0.1:`target_port`.
  explicit FaultProxy(int target_port);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  int port() const { return port_; }
  std::string address() const;

  void SetWeather(Weather weather);
  // Resets all connections, on both sides.
  void BreakAll();
  // How many came so far.
  int connections() const;

 private:
  struct Link;

  Weather weather() const;
  runtime::Awaitable<void> AcceptAll();
  runtime::Awaitable<void> Serve(std::shared_ptr<Link> link);
  runtime::Awaitable<bool> Pump(std::shared_ptr<Link> link, bool to_client);
  void Listen(bool listen);

  const int target_port_;
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  int port_ = 0;
  // Only on the loop's thread.
  std::list<std::weak_ptr<Link>> links_;
  mutable base::Mutex mutex_;
  Weather weather_ CW_GUARDED_BY(mutex_);
  int connections_ CW_GUARDED_BY(mutex_) = 0;
  std::jthread thread_;
};

}  // namespace certwright::fakes
