#include "lib/service/server_limits.h"

#include <cstdint>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::service {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ServerLimitsTest, WhatIsNotGivenHasADefault) {
  EXPECT_THAT(ValidateServerLimits({}), IsEmpty());
  const rpc::ServerLimits limits = ToServerLimits({});
  EXPECT_EQ(limits.max_concurrent_streams, 100);
  EXPECT_EQ(limits.strangers.per_second, 20);
  EXPECT_EQ(limits.strangers.burst, 200);
}

TEST(ServerLimitsTest, WhatIsGivenCounts) {
  config::v1::ServerLimits given;
  given.set_max_concurrent_streams(100'000);
  given.set_max_unknown_calls_per_second(1'000'000);
  EXPECT_THAT(ValidateServerLimits(given), IsEmpty());
  const rpc::ServerLimits limits = ToServerLimits(given);
  EXPECT_EQ(limits.max_concurrent_streams, 100'000);
  EXPECT_EQ(limits.strangers.per_second, 1'000'000);
  EXPECT_EQ(limits.strangers.burst, 10'000'000);
}

TEST(ServerLimitsTest, NumbersBeyondTheirBoundsAreRefused) {
  for (const int bad : {-1, 2'000'000'000}) {
    config::v1::ServerLimits given;
    given.set_max_concurrent_streams(bad);
    given.set_max_unknown_calls_per_second(bad);
    EXPECT_THAT(ValidateServerLimits(given),
                ElementsAre(HasSubstr("server.limits.maxConcurrentStreams"),
                            HasSubstr("server.limits.maxUnknownCallsPerSecond")));
  }
}

TEST(ServerLimitsTest, EachFieldSetsItsOwnLimit) {
  config::v1::ServerLimits given;
  given.set_max_connections(11);
  given.set_max_connections_per_peer(12);
  given.set_max_calls_per_caller(13);
  given.mutable_handshake_timeout()->set_seconds(14);
  given.mutable_message_timeout()->set_seconds(15);
  given.mutable_max_connection_idle()->set_seconds(16);
  given.mutable_max_connection_age()->set_seconds(17);
  EXPECT_THAT(ValidateServerLimits(given), IsEmpty());
  const rpc::ServerLimits limits = ToServerLimits(given);
  EXPECT_EQ(limits.connections.total, 11);
  EXPECT_EQ(limits.connections.per_peer, 12);
  EXPECT_EQ(ToCallSlotLimits(given).per_identity, 13);
  EXPECT_EQ(limits.handshake_timeout, absl::Seconds(14));
  EXPECT_EQ(ToDeadlineOptions(given).message, absl::Seconds(15));
  EXPECT_EQ(limits.max_connection_idle, absl::Seconds(16));
  EXPECT_EQ(limits.max_connection_age, absl::Seconds(17));
  // Without a bound a client that reads nothing could have all of the memory.
  EXPECT_GE(limits.buffer_bytes, 16 << 20);
  EXPECT_LE(limits.buffer_bytes, 64 << 20);
}

TEST(ServerLimitsTest, TimesAreUpToAWeekAndCountsAreNotNegative) {
  constexpr int64_t kWeek = 7 * 24 * 3600;
  const auto with_times = [](int64_t seconds) {
    config::v1::ServerLimits given;
    given.mutable_handshake_timeout()->set_seconds(seconds);
    given.mutable_message_timeout()->set_seconds(seconds);
    given.mutable_max_connection_idle()->set_seconds(seconds);
    given.mutable_max_connection_age()->set_seconds(seconds);
    return given;
  };
  for (const int64_t good : {int64_t{0}, kWeek}) {
    EXPECT_THAT(ValidateServerLimits(with_times(good)), IsEmpty()) << good;
  }
  for (const int64_t bad : {int64_t{-1}, kWeek + 1}) {
    EXPECT_THAT(ValidateServerLimits(with_times(bad)),
                ElementsAre(HasSubstr("server.limits.handshakeTimeout: "),
                            HasSubstr("server.limits.messageTimeout: "),
                            HasSubstr("server.limits.maxConnectionIdle: "),
                            HasSubstr("server.limits.maxConnectionAge: ")))
        << bad;
  }
  config::v1::ServerLimits counts;
  counts.set_max_connections(-1);
  counts.set_max_connections_per_peer(-1);
  counts.set_max_calls_per_caller(-1);
  EXPECT_THAT(ValidateServerLimits(counts),
              ElementsAre(HasSubstr("server.limits.maxConnections: "),
                          HasSubstr("server.limits.maxConnectionsPerPeer: "),
                          HasSubstr("server.limits.maxCallsPerCaller: ")));
}

}  // namespace
}  // namespace certwright::service
