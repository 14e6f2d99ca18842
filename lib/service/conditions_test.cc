#include "lib/service/conditions.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::service {
namespace {

using ::testing::SizeIs;

const absl::Time kBefore = absl::FromUnixSeconds(1'000);
const absl::Time kAfter = absl::FromUnixSeconds(2'000);

TEST(ConditionsTest, SetConditionKeepsTheTransitionTimeWhileTheStatusStays) {
  Conditions conditions;
  SetCondition(conditions, {"Ready", false, "Pending", "waits"}, 1, kBefore);
  SetCondition(conditions, {"Ready", false, "Failed", "refused"}, 2, kAfter);

  ASSERT_THAT(conditions, SizeIs(1));
  EXPECT_EQ(conditions[0].status(), meta::v1::CONDITION_STATUS_FALSE);
  EXPECT_EQ(conditions[0].reason(), "Failed");
  EXPECT_EQ(conditions[0].message(), "refused");
  EXPECT_EQ(conditions[0].observed_generation(), 2);
  EXPECT_EQ(FromProto(conditions[0].last_transition_time()), kBefore);
}

TEST(ConditionsTest, SetConditionMovesTheTransitionTimeWithTheStatus) {
  Conditions conditions;
  SetCondition(conditions, {"Ready", false, "Pending", ""}, 1, kBefore);
  SetCondition(conditions, {"Ready", true, "Issued", ""}, 1, kAfter);

  ASSERT_THAT(conditions, SizeIs(1));
  EXPECT_EQ(conditions[0].status(), meta::v1::CONDITION_STATUS_TRUE);
  EXPECT_EQ(FromProto(conditions[0].last_transition_time()), kAfter);
}

TEST(ConditionsTest, ConditionsOfOtherTypesAreNotTouched) {
  Conditions conditions;
  SetCondition(conditions, {"Ready", true, "Issued", ""}, 1, kBefore);
  SetCondition(conditions, {"Issuing", true, "Renewal", ""}, 1, kBefore);
  SetCondition(conditions, {"Denied", false, "Approved", ""}, 1, kBefore);
  ASSERT_THAT(conditions, SizeIs(3));

  RemoveCondition(conditions, "Issuing");
  RemoveCondition(conditions, "Unheard");
  EXPECT_THAT(conditions, SizeIs(2));
  EXPECT_EQ(FindCondition(conditions, "Issuing"), nullptr);
  ASSERT_NE(FindCondition(conditions, "Denied"), nullptr);
  EXPECT_EQ(FindCondition(conditions, "Denied")->reason(), "Approved");
  EXPECT_EQ(FindCondition(conditions, "Ready")->reason(), "Issued");
}

TEST(ConditionsTest, IsTrueOnlyForAConditionThatIsTrue) {
  Conditions conditions;
  EXPECT_FALSE(IsTrue(conditions, "Ready"));
  SetCondition(conditions, {"Ready", false, "Pending", ""}, 1, kBefore);
  EXPECT_FALSE(IsTrue(conditions, "Ready"));
  conditions[0].set_status(meta::v1::CONDITION_STATUS_UNKNOWN);
  EXPECT_FALSE(IsTrue(conditions, "Ready"));
  SetCondition(conditions, {"Ready", true, "Issued", ""}, 1, kBefore);
  EXPECT_TRUE(IsTrue(conditions, "Ready"));
}

TEST(ConditionsTest, TimesSurviveTheWayToProtoAndBack) {
  for (const absl::Time time :
       {absl::UnixEpoch(), absl::FromUnixNanos(1'700'000'000'123'456'789),
        absl::UnixEpoch() - absl::Milliseconds(500)}) {
    const google::protobuf::Timestamp proto = ToProto(time);
    EXPECT_GE(proto.nanos(), 0);
    EXPECT_LT(proto.nanos(), 1'000'000'000);
    EXPECT_EQ(FromProto(proto), time);
  }
}

}  // namespace
}  // namespace certwright::service
