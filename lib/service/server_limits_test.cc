#include "lib/service/server_limits.h"

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

}  // namespace
}  // namespace certwright::service
