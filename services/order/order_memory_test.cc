#include "services/order/order_memory.h"

#include "gtest/gtest.h"

namespace certwright::order {
namespace {

TEST(OrderMemoryTest, TheFirstToClaimAUrlHasItUntilItIsForgotten) {
  OrderMemory memory;
  EXPECT_EQ(memory.ClaimUrl("u", "ns/a"), "");
  EXPECT_EQ(memory.ClaimUrl("u", "ns/a"), "") << "a claim may be repeated";
  EXPECT_EQ(memory.ClaimUrl("u", "ns/b"), "ns/a");
  memory.Forget("ns/b");
  EXPECT_EQ(memory.ClaimUrl("u", "ns/b"), "ns/a");
  memory.Forget("ns/a");
  EXPECT_EQ(memory.ClaimUrl("u", "ns/b"), "");
}

TEST(OrderMemoryTest, RemembersPollsPerOrder) {
  OrderMemory memory;
  memory.SetWaits("ns/a", {.polls = 3});
  EXPECT_EQ(memory.waits("ns/a").polls, 3);
  EXPECT_EQ(memory.waits("ns/b").polls, 0);
  memory.Forget("ns/a");
  EXPECT_EQ(memory.waits("ns/a").polls, 0);
}

}  // namespace
}  // namespace certwright::order
