#include "lib/rpc/call_slots.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/rpc/status.h"

namespace certwright::rpc {
namespace {

using base::IsOk;
using base::StatusIs;
using ::testing::HasSubstr;

class CallSlotsTest : public ::testing::Test {
 protected:
  static Caller Known(const std::string& identity) {
    Caller caller;
    caller.authenticated = true;
    caller.identities = {identity};
    caller.peer = "ipv4:127.0.0.1:4000";
    return caller;
  }
  static Caller Stranger(const std::string& address) {
    Caller caller;
    caller.peer = "ipv4:" + address + ":4000";
    return caller;
  }
  // How many of ten calls get a slot, which they keep.
  int TakeTen(const Caller& caller) {
    int taken = 0;
    for (int i = 0; i < 10; ++i) {
      absl::StatusOr<CallSlots::Slot> slot = slots_->Take(caller);
      if (!slot.ok()) continue;
      ++taken;
      kept_.push_back(*std::move(slot));
    }
    return taken;
  }

  const std::shared_ptr<CallSlots> slots_ = std::make_shared<CallSlots>(
      CallSlotLimits{.per_identity = 4, .per_address = 3, .unknown = 5});
  std::vector<CallSlots::Slot> kept_;
};

TEST_F(CallSlotsTest, EachIdentityHasAsManyAndServicesHaveAny) {
  EXPECT_EQ(TakeTen(Known("ann")), 4);
  EXPECT_EQ(TakeTen(Known("bob")), 4);
  Caller order = Known("order");
  order.services = {ServiceRole::kOrder};
  EXPECT_EQ(TakeTen(order), 10);
}

TEST_F(CallSlotsTest, StrangersCountByAddressAndTogether) {
  EXPECT_EQ(TakeTen(Stranger("192.0.2.1")), 3);
  EXPECT_EQ(TakeTen(Stranger("192.0.2.2")), 2);
  EXPECT_EQ(TakeTen(Stranger("192.0.2.3")), 0);
  EXPECT_EQ(TakeTen(Known("ann")), 4);
}

TEST_F(CallSlotsTest, ASlotThatIsGivenBackIsFree) {
  EXPECT_EQ(TakeTen(Stranger("192.0.2.1")), 3);
  kept_.clear();
  EXPECT_EQ(TakeTen(Stranger("192.0.2.2")), 3);
  kept_.back().Release();
  kept_.back().Release();
  EXPECT_THAT(slots_->Take(Stranger("192.0.2.2")), IsOk());
}

TEST_F(CallSlotsTest, WhoHasTooManyIsToldTheLimitAndWhenToTryAgain) {
  TakeTen(Known("ann"));
  const absl::Status refused = slots_->Take(Known("ann")).status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted,
                                HasSubstr("ann has 4 calls at once")));
  EXPECT_TRUE(RetryAfterOf(refused).has_value());
}

TEST_F(CallSlotsTest, WhatThoseWhoAreKnownGiveBackIsNotForStrangers) {
  EXPECT_EQ(TakeTen(Known("ann")), 4);
  kept_.clear();
  EXPECT_EQ(TakeTen(Stranger("192.0.2.1")), 3);
  EXPECT_EQ(TakeTen(Stranger("192.0.2.2")), 2);
}

}  // namespace
}  // namespace certwright::rpc
