#include "lib/rpc/call_gate.h"

#include <atomic>
#include <thread>

#include "gtest/gtest.h"

namespace certwright::rpc {
namespace {

constexpr absl::Duration kQuiet = absl::Milliseconds(1);
// Reached only if something is broken.
constexpr absl::Duration kLong = absl::Seconds(60);

TEST(CallGateTest, RefusesCallsOnceClosed) {
  CallGate gate;
  EXPECT_TRUE(gate.Enter());
  EXPECT_TRUE(gate.Enter());
  gate.Close();
  EXPECT_FALSE(gate.Enter());
}

TEST(CallGateTest, IsQuietWithoutCalls) {
  CallGate gate;
  EXPECT_TRUE(gate.Enter());
  gate.Leave();
  gate.Close();
  EXPECT_TRUE(gate.WaitUntilQuiet(kQuiet, kLong));
}

TEST(CallGateTest, IsNotQuietWhileACallRuns) {
  CallGate gate;
  ASSERT_TRUE(gate.Enter());
  gate.Close();
  EXPECT_FALSE(gate.WaitUntilQuiet(kQuiet, absl::Milliseconds(20)));
  gate.Leave();
  EXPECT_TRUE(gate.WaitUntilQuiet(kQuiet, kLong));
}

TEST(CallGateTest, BecomesQuietWhenTheLastCallLeavesMeanwhile) {
  CallGate gate;
  ASSERT_TRUE(gate.Enter());
  ASSERT_TRUE(gate.Enter());
  gate.Close();
  bool quiet = false;
  std::thread waiter([&] { quiet = gate.WaitUntilQuiet(kQuiet, kLong); });
  gate.Leave();
  gate.Leave();
  waiter.join();
  EXPECT_TRUE(quiet);
}

TEST(CallGateTest, RefusedCallsThatGoOnArrivingAreNotQuiet) {
  CallGate gate;
  gate.Close();
  std::atomic<bool> arriving = true;
  std::atomic<int> arrivals = 0;
  std::thread client([&] {
    while (arriving) {
      EXPECT_FALSE(gate.Enter());
      ++arrivals;
      std::this_thread::yield();
    }
  });
  while (arrivals == 0) std::this_thread::yield();
  EXPECT_FALSE(gate.WaitUntilQuiet(absl::Milliseconds(400), absl::Milliseconds(800)));
  arriving = false;
  client.join();
  EXPECT_TRUE(gate.WaitUntilQuiet(kQuiet, kLong));
}

}  // namespace
}  // namespace certwright::rpc
