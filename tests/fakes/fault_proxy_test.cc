#include "tests/fakes/fault_proxy.h"

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "boost/asio/connect.hpp"
#include "boost/asio/read.hpp"
#include "boost/asio/write.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/http/test_server.h"

namespace certwright::fakes {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

// Says back what it is told, eight octets at a time.
void Echo(http::TestConnection& connection) {
  while (true) {
    const std::string bytes = connection.ReadExactly(8);
    if (bytes.empty() || !connection.Write(bytes)) return;
  }
}

class FaultProxyTest : public testing::Test {
 protected:
  tcp::socket Connect(error_code& error) {
    tcp::socket socket(context_);
    socket.connect(tcp::endpoint(boost::asio::ip::address_v4::loopback(),
                                 static_cast<uint16_t>(proxy_.port())),
                   error);
    return socket;
  }
  // What comes back for eight octets; empty at an end or error.
  std::string Talk(tcp::socket& socket, error_code& error) {
    boost::asio::write(socket, boost::asio::buffer(std::string("12345678")), error);
    std::string answer(8, '\0');
    const std::size_t size = boost::asio::read(socket, boost::asio::buffer(answer), error);
    return answer.substr(0, size);
  }

  boost::asio::io_context context_;
  http::TestServer server_{Echo};
  FaultProxy proxy_{server_.port()};
  error_code error_;
};

TEST_F(FaultProxyTest, PassesOnBothWays) {
  tcp::socket socket = Connect(error_);
  EXPECT_EQ(Talk(socket, error_), "12345678");
  EXPECT_EQ(Talk(socket, error_), "12345678");
  EXPECT_EQ(proxy_.connections(), 1);
}

TEST_F(FaultProxyTest, BreaksWhatIsOpenAndTakesNewConnections) {
  tcp::socket socket = Connect(error_);
  EXPECT_EQ(Talk(socket, error_), "12345678");
  proxy_.BreakAll();
  EXPECT_EQ(Talk(socket, error_), "");
  EXPECT_TRUE(error_);
  tcp::socket other = Connect(error_);
  EXPECT_EQ(Talk(other, error_), "12345678");
}

TEST_F(FaultProxyTest, RefusesAndListensAgain) {
  for (int i = 0; i < 3; ++i) {
    proxy_.SetWeather({.refuse = true});
    Connect(error_);
    EXPECT_EQ(error_, boost::asio::error::connection_refused);
    proxy_.SetWeather({});
    tcp::socket socket = Connect(error_);
    EXPECT_EQ(Talk(socket, error_), "12345678");
  }
}

TEST_F(FaultProxyTest, DelaysEachWay) {
  proxy_.SetWeather({.delay = absl::Milliseconds(100)});
  tcp::socket socket = Connect(error_);
  const absl::Time start = absl::Now();
  EXPECT_EQ(Talk(socket, error_), "12345678");
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(200));
}

TEST_F(FaultProxyTest, CutsAfterSomeOctets) {
  proxy_.SetWeather({.cut_after = 11});
  tcp::socket socket = Connect(error_);
  EXPECT_EQ(Talk(socket, error_), "12345678");
  const std::string rest = Talk(socket, error_);
  EXPECT_TRUE(error_);
  // What was sent before a reset may be lost with it.
  EXPECT_LE(rest.size(), 3u);
}

TEST_F(FaultProxyTest, InABlackHoleNothingComesBackUntilItIsGone) {
  tcp::socket socket = Connect(error_);
  EXPECT_EQ(Talk(socket, error_), "12345678");
  proxy_.SetWeather({.black_hole = true});
  boost::asio::write(socket, boost::asio::buffer(std::string("lost....")), error_);
  absl::SleepFor(absl::Milliseconds(200));
  EXPECT_EQ(socket.available(), 0u);
  proxy_.SetWeather({});
  EXPECT_EQ(Talk(socket, error_), "12345678");
}

}  // namespace
}  // namespace certwright::fakes
