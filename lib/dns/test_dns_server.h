// TestDnsServer: a DNS server for tests, on loopback, at one port for UDP and TCP, on a
// thread of its own. What it says is up to the test's handler.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
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

  struct Options {
    // IPv4, of this host.
    std::string address = "127.0.0.1";
    // 0: a free one.
    int port = 0;
    // Whether TCP is served too.
    bool tcp = true;
    // How long the answer to a request is held back; the next ones are not.
    std::function<absl::Duration(const Request& request)> delay = {};
  };

  explicit TestDnsServer(Handler handler) : TestDnsServer(std::move(handler), Options()) {}
  TestDnsServer(Handler handler, Options options);
  ~TestDnsServer();
  TestDnsServer(const TestDnsServer&) = delete;
  TestDnsServer& operator=(const TestDnsServer&) = delete;

  // "ADDRESS:PORT".
  std::string address() const;
  int port() const { return port_; }
  // Requests so far.
  int udp_requests() const { return udp_requests_; }
  int tcp_requests() const { return tcp_requests_; }

  // `message` as an answer to `request`: with its id and question, in wire form.
  static std::string Reply(const Request& request, Message message);

 private:
  struct Answers {
    std::vector<std::string> packets;
    absl::Duration delay;
  };

  void Bind();
  Answers Handle(bool tcp, std::string packet);
  runtime::Awaitable<void> Pause(absl::Duration duration);
  runtime::Awaitable<void> SendUdp(Answers answers, boost::asio::ip::udp::endpoint client);
  runtime::Awaitable<void> ServeUdp();
  runtime::Awaitable<void> AcceptTcp();
  runtime::Awaitable<void> ServeTcp(boost::asio::ip::tcp::socket socket);

  const Handler handler_;
  const Options options_;
  boost::asio::io_context context_;
  boost::asio::ip::udp::socket udp_;
  boost::asio::ip::tcp::acceptor tcp_;
  int port_ = 0;
  std::atomic<int> udp_requests_ = 0;
  std::atomic<int> tcp_requests_ = 0;
  std::jthread thread_;
};

}  // namespace certwright::dns
