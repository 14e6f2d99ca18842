#include "lib/http/connection_shares.h"

#include "gtest/gtest.h"

namespace certwright::http {
namespace {

std::string At(const char* address) { return ClientAt(boost::asio::ip::make_address(address)); }

TEST(ClientAtTest, IsAnIpv4AddressOrAnIpv6NetworkOf64Bits) {
  EXPECT_EQ(At("192.0.2.1"), At("192.0.2.1"));
  EXPECT_NE(At("192.0.2.1"), At("192.0.2.2"));
  EXPECT_EQ(At("192.0.2.1"), At("::ffff:192.0.2.1"));
  EXPECT_NE(At("::ffff:192.0.2.1"), At("::ffff:192.0.2.2"));
  EXPECT_EQ(At("2001:db8::1"), At("2001:db8::ffff:1"));
  EXPECT_NE(At("2001:db8::1"), At("2001:db8:0:1::1"));
}

class ConnectionSharesTest : public testing::Test {
 protected:
  ConnectionShares::Id Add(const std::string& client) {
    const ConnectionShares::Admission admission = shares_.Admit(client);
    EXPECT_FALSE(admission.closed.has_value()) << client;
    return admission.admitted;
  }
  // The connection that is closed for a new one of that client; 0 for none.
  ConnectionShares::Id ClosedFor(const std::string& client) {
    return shares_.Admit(client).closed.value_or(0);
  }

  ConnectionShares shares_{4, 2};
};

// Fault 114.
TEST_F(ConnectionSharesTest, AClientWithItsShareLosesItsOwnOldest) {
  Add("b");
  const auto first = Add("a");
  const auto second = Add("a");
  EXPECT_EQ(ClosedFor("a"), first);
  EXPECT_EQ(ClosedFor("a"), second);
  EXPECT_EQ(shares_.total(), 3u);
}

// Fault 114.
TEST_F(ConnectionSharesTest, WhereAllIsFullTheOldestOfAllGoes) {
  const auto first = Add("a");
  const auto second = Add("b");
  Add("c");
  Add("d");
  EXPECT_EQ(ClosedFor("e"), first);
  EXPECT_EQ(ClosedFor("c"), second);
  EXPECT_EQ(shares_.total(), 4u);
}

// Fault 114.
TEST_F(ConnectionSharesTest, AWholeRequestMakesItTheYoungest) {
  const auto first = Add("a");
  const auto second = Add("a");
  shares_.Touch(first);
  EXPECT_EQ(ClosedFor("a"), second);
  Add("b");
  Add("c");
  shares_.Touch(first);
  EXPECT_NE(ClosedFor("d"), first);
  EXPECT_NE(ClosedFor("e"), first);
  EXPECT_NE(ClosedFor("f"), first);
  EXPECT_EQ(ClosedFor("g"), first);
}

TEST_F(ConnectionSharesTest, WhatHasEndedMakesRoomAndIsLeftAlone) {
  const auto first = Add("a");
  Add("a");
  shares_.Remove(first);
  shares_.Remove(first);
  shares_.Touch(first);
  EXPECT_EQ(shares_.total(), 1u);
  for (const char* client : {"a", "b", "c"}) Add(client);
  EXPECT_EQ(shares_.total(), 4u);
}

}  // namespace
}  // namespace certwright::http
