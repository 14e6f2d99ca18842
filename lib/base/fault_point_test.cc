#include "lib/base/fault_point.h"

#include <signal.h>

#include <cstdlib>
#include <set>

#include "gtest/gtest.h"

namespace certwright::base {
namespace {

TEST(FaultPointTest, NamesAreUnique) {
  const std::set<absl::string_view> names(kFaultPointNames.begin(), kFaultPointNames.end());
  EXPECT_EQ(names.size(), kFaultPointNames.size());
}

TEST(FaultPointTest, APlanHasAPointANumberAndWhatToDo) {
  const auto plain = FaultPlan::Parse("order-placed");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->point, FaultPoint::kOrderPlaced);
  EXPECT_EQ(plain->at, 1);
  EXPECT_EQ(plain->signal, SIGKILL);
  const auto full = FaultPlan::Parse("challenge-forgotten:12:stop");
  ASSERT_TRUE(full.has_value());
  EXPECT_EQ(full->point, FaultPoint::kChallengeForgotten);
  EXPECT_EQ(full->at, 12);
  EXPECT_EQ(full->signal, SIGSTOP);
  for (const char* wrong : {"", "no-such-point", "order-placed:", "order-placed:0",
                            "order-placed:x", "order-placed:1:run", "order-placed:1:stop:1"}) {
    EXPECT_FALSE(FaultPlan::Parse(wrong).has_value()) << wrong;
  }
}

TEST(FaultPointTest, WithoutAPlanNothingHappens) {
  ASSERT_EQ(std::getenv("CERTWRIGHT_FAULT_POINT"), nullptr);
  for (std::size_t i = 0; i < kFaultPointNames.size(); ++i) Reach(static_cast<FaultPoint>(i));
}

}  // namespace
}  // namespace certwright::base
