// TestDnsServer: a DNS server for tests, on loopback, at one port for UDP and TCP, on a
// thread of its own. What it says is up to the test's handler.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ip/udp.hpp"
#include "lib/dns/message.h"
#include "lib/runtime/awaitable.h"

namespace certwright::dns {

class TestDnsServer {
 public:
  struct Request {
    bool tcp = false;
    std::string packet;
    Message message;
  };
  // The packets to answer with, in order; none for silence. Runs on the server's thread.
  using Handler = std::function<std::vector<std::string>(const Request& request)>;

  enum class Transports { kUdpAndTcp, kUdpOnly };

  explicit TestDnsServer(Handler handler, Transports transports = Transports::kUdpAndTcp);
  ~TestDnsServer();
  TestDnsServer(const TestDnsServer&) = delete;
  TestDnsServer& operator=(const TestDnsServer&) = delete;

  // "127.0.0.1:PORT".
  std::string address() const;
  int port() const { return port_; }
  // Requests so far.
  int udp_requests() const { return udp_requests_; }
  int tcp_requests() const { return tcp_requests_; }

  // `message` as an answer to `request`: with its id and question, in wire form.
  static std::string Reply(const Request& request, Message message);

 private:
  void Bind();
  std::vector<std::string> Handle(bool tcp, std::string packet);
  runtime::Awaitable<void> ServeUdp();
  runtime::Awaitable<void> AcceptTcp();
  runtime::Awaitable<void> ServeTcp(boost::asio::ip::tcp::socket socket);

  const Handler handler_;
  boost::asio::io_context context_;
  boost::asio::ip::udp::socket udp_;
  boost::asio::ip::tcp::acceptor tcp_;
  int port_ = 0;
  std::atomic<int> udp_requests_ = 0;
  std::atomic<int> tcp_requests_ = 0;
  std::jthread thread_;
};

}  // namespace certwright::dns
