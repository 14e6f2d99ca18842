#include "lib/dns/test_dns_server.h"

#include <stdexcept>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/buffer.hpp"
#include "boost/asio/read.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/write.hpp"
#include "lib/dns/message_builder.h"

namespace certwright::dns {
namespace {

using boost::asio::ip::tcp;
using boost::asio::ip::udp;
using boost::system::error_code;

constexpr auto kAsTuple = boost::asio::as_tuple(boost::asio::use_awaitable);

}  // namespace

TestDnsServer::TestDnsServer(Handler handler, Options options)
    : handler_(std::move(handler)),
      options_(std::move(options)),
      udp_(context_),
      tcp_(context_) {
  Bind();
  runtime::Spawn(context_.get_executor(), ServeUdp());
  if (options_.tcp) {
    runtime::Spawn(context_.get_executor(), AcceptTcp());
  } else {
    tcp_.close();
  }
  thread_ = std::jthread([this] { context_.run(); });
}

TestDnsServer::~TestDnsServer() {
  context_.stop();
  thread_.join();
}

// The UDP port is free as a rule, but another process may have it.
void TestDnsServer::Bind() {
  const auto address = boost::asio::ip::make_address_v4(options_.address);
  for (int tries = 0; tries < 100; ++tries) {
    tcp_ =
        tcp::acceptor(context_, tcp::endpoint(address, static_cast<uint16_t>(options_.port)));
    port_ = tcp_.local_endpoint().port();
    udp_ = udp::socket(context_, udp::v4());
    error_code error;
    udp_.bind(udp::endpoint(address, static_cast<uint16_t>(port_)), error);
    if (!error) return;
  }
  throw std::runtime_error("no port is free for UDP and TCP");
}

std::string TestDnsServer::address() const {
  return absl::StrCat(options_.address, ":", port_);
}

std::string TestDnsServer::Reply(const Request& request, Message message) {
  message.id = request.message.id;
  message.opcode = request.message.opcode;
  message.response = true;
  message.recursion_desired = request.message.recursion_desired;
  message.questions = request.message.questions;
  return BuildMessage(message);
}

TestDnsServer::Answers TestDnsServer::Handle(bool tcp, std::string packet) {
  ++(tcp ? tcp_requests_ : udp_requests_);
  Request request;
  request.tcp = tcp;
  absl::StatusOr<Message> message = ParseMessage(packet);
  if (!message.ok()) return {};
  request.packet = std::move(packet);
  request.message = *std::move(message);
  Answers answers;
  if (options_.delay != nullptr) answers.delay = options_.delay(request);
  answers.packets = handler_(request);
  return answers;
}

runtime::Awaitable<void> TestDnsServer::Pause(absl::Duration duration) {
  if (duration <= absl::ZeroDuration()) co_return;
  boost::asio::steady_timer timer(context_, absl::ToChronoNanoseconds(duration));
  co_await timer.async_wait(kAsTuple);
}

runtime::Awaitable<void> TestDnsServer::ServeUdp() {
  std::string buffer(65535, '\0');
  while (true) {
    udp::endpoint client;
    error_code error;
    std::size_t size = 0;
    std::tie(error, size) =
        co_await udp_.async_receive_from(boost::asio::buffer(buffer), client, kAsTuple);
    if (error) continue;
    Answers answers = Handle(false, buffer.substr(0, size));
    runtime::Spawn(context_.get_executor(), SendUdp(std::move(answers), client));
  }
}

runtime::Awaitable<void> TestDnsServer::SendUdp(Answers answers, udp::endpoint client) {
  co_await Pause(answers.delay);
  for (const std::string& packet : answers.packets) {
    error_code error;
    udp_.send_to(boost::asio::buffer(packet), client, 0, error);
  }
}

runtime::Awaitable<void> TestDnsServer::AcceptTcp() {
  while (true) {
    tcp::socket socket(context_);
    const auto [error] = co_await tcp_.async_accept(socket, kAsTuple);
    if (error) continue;
    runtime::Spawn(context_.get_executor(), ServeTcp(std::move(socket)));
  }
}

runtime::Awaitable<void> TestDnsServer::ServeTcp(tcp::socket socket) {
  error_code error;
  while (true) {
    std::string packet(2, '\0');
    std::tie(error, std::ignore) =
        co_await boost::asio::async_read(socket, boost::asio::buffer(packet), kAsTuple);
    if (error) co_return;
    packet.resize(static_cast<unsigned char>(packet[0]) * 256u +
                  static_cast<unsigned char>(packet[1]));
    std::tie(error, std::ignore) =
        co_await boost::asio::async_read(socket, boost::asio::buffer(packet), kAsTuple);
    if (error) co_return;
    const Answers answers = Handle(true, std::move(packet));
    co_await Pause(answers.delay);
    if (answers.packets.empty()) co_return;
    std::string out;
    for (const std::string& reply : answers.packets) {
      out.push_back(static_cast<char>(reply.size() >> 8));
      out.push_back(static_cast<char>(reply.size() & 0xFF));
      out += reply;
    }
    std::tie(error, std::ignore) =
        co_await boost::asio::async_write(socket, boost::asio::buffer(out), kAsTuple);
    if (error) co_return;
  }
}

}  // namespace certwright::dns
