#include "services/issuer/renewal_windows.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::issuer_service {
namespace {

using base::StatusIs;
using testing::HasSubstr;

absl::TimeZone Zone(const std::string& name) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(name, &zone)) << name;
  return zone;
}

absl::Time At(const std::string& text, absl::TimeZone zone = absl::UTCTimeZone()) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M", text, zone, &time, &error)) << error;
  return time;
}

TEST(CronScheduleTest, NextIsTheFirstMinuteThatEveryFieldNames) {
  struct Case {
    std::string cron;
    std::string after;
    std::string next;
  };
  for (const Case& c : {
           // 2026-03-01 is a Sunday.
           Case{"* * * * *", "2026-03-01 10:00", "2026-03-01 10:01"},
           Case{"0 3 * * *", "2026-03-01 03:00", "2026-03-02 03:00"},
           Case{"0 3 * * *", "2026-03-01 02:59", "2026-03-01 03:00"},
           Case{"*/20 * * * *", "2026-03-01 10:41", "2026-03-01 11:00"},
           Case{"5-59/20 * * * *", "2026-03-01 10:26", "2026-03-01 10:45"},
           Case{"0 22 * * 1-5", "2026-03-06 22:00", "2026-03-09 22:00"},
           Case{"0 22 * * mon,WED", "2026-03-02 22:00", "2026-03-04 22:00"},
           Case{"0 0 * * 7", "2026-03-02 00:00", "2026-03-08 00:00"},
           Case{"0 0 * * 0", "2026-03-02 00:00", "2026-03-08 00:00"},
           Case{"0 0 1 jan *", "2026-03-01 00:00", "2027-01-01 00:00"},
           Case{"0 0 29 2 *", "2026-03-01 00:00", "2028-02-29 00:00"},
           // Either day is enough if both are restricted.
           Case{"0 0 13 * 5", "2026-03-01 00:00", "2026-03-06 00:00"},
           Case{"0 0 13 * 5", "2026-03-06 00:00", "2026-03-13 00:00"},
           Case{"0 0 */2 * 1", "2026-03-01 00:00", "2026-03-09 00:00"},
           Case{"59 23 31 12 *", "2026-12-31 23:59", "2027-12-31 23:59"},
       }) {
    const auto schedule = CronSchedule::Parse(c.cron);
    CW_ASSERT_OK(schedule);
    EXPECT_EQ(schedule->Next(At(c.after), absl::UTCTimeZone()), At(c.next)) << c.cron;
  }
}

TEST(CronScheduleTest, ADayThatNeverComesIsNeverFound) {
  EXPECT_EQ(CronSchedule::Parse("0 0 30 2 *")->Next(At("2026-03-01 00:00"), Zone("UTC")),
            absl::InfiniteFuture());
}

TEST(CronScheduleTest, FollowsTheTimeZone) {
  const auto schedule = CronSchedule::Parse("30 2 * * *");
  const absl::TimeZone berlin = Zone("Europe/Berlin");
  EXPECT_EQ(schedule->Next(At("2026-07-01 00:00"), berlin), At("2026-07-01 00:30"));
  EXPECT_EQ(schedule->Next(At("2026-01-01 00:00"), berlin), At("2026-01-01 01:30"));
  // On 2026-03-29 the clock goes from 02:00 to 03:00: there is no 02:30.
  EXPECT_EQ(schedule->Next(At("2026-03-29 00:00", berlin), berlin),
            At("2026-03-30 02:30", berlin));
  // On 2026-10-25 02:30 comes twice and counts once.
  EXPECT_EQ(schedule->Next(At("2026-10-25 00:00", berlin), berlin), At("2026-10-25 00:30"));
  EXPECT_EQ(schedule->Next(At("2026-10-25 00:30"), berlin), At("2026-10-26 02:30", berlin));
}

TEST(CronScheduleTest, RefusesWhatIsNoScheduleAndNamesTheField) {
  struct Case {
    std::string cron;
    std::string rule;
  };
  for (const Case& c : {
           Case{"", "five fields"},
           Case{"* * * *", "five fields"},
           Case{"* * * * * *", "five fields"},
           Case{"@daily", "five fields"},
           Case{"60 * * * *", "its minute must"},
           Case{"-1 * * * *", "its minute must"},
           Case{"* 24 * * *", "its hour must"},
           Case{"* * 0 * *", "its day of the month must"},
           Case{"* * 32 * *", "its day of the month must"},
           Case{"* * * 13 *", "its month must"},
           Case{"* * * foo *", "its month must"},
           Case{"* * * * 8", "its day of the week must"},
           Case{"5-1 * * * *", "its minute must"},
           Case{"*/0 * * * *", "its minute must"},
           Case{"*/x * * * *", "its minute must"},
           Case{"1/2/3 * * * *", "its minute must"},
           Case{"1,, * * * *", "its minute must"},
           Case{"1-2-3 * * * *", "its minute must"},
           Case{"+1 * * * *", "its minute must"},
           Case{std::string(300, '*') + " * * * *", "five fields"},
       }) {
    EXPECT_THAT(CronSchedule::Parse(c.cron),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.rule)))
        << c.cron;
  }
}

class RenewalWindowsTest : public testing::Test {
 protected:
  void Add(const std::string& cron, absl::Duration duration, const std::string& zone = "") {
    issuer::v1::RenewalWindow& window = *windows_.Add();
    window.set_cron(cron);
    window.mutable_duration()->set_seconds(absl::ToInt64Seconds(duration));
    window.set_timezone(zone);
  }
  std::optional<TimeSpan> FirstAt(const std::string& time, const std::string& limit) {
    const auto windows = RenewalWindows::Parse(windows_);
    EXPECT_THAT(windows, base::IsOk());
    return windows->FirstAt(At(time), At(limit));
  }

  google::protobuf::RepeatedPtrField<issuer::v1::RenewalWindow> windows_;
};

TEST_F(RenewalWindowsTest, FindsTheNextWindowAndOneThatIsOpen) {
  Add("0 22 * * *", absl::Hours(4));
  EXPECT_EQ(FirstAt("2026-03-01 10:00", "2026-03-09 00:00"),
            (TimeSpan{At("2026-03-01 22:00"), At("2026-03-02 02:00")}));
  EXPECT_EQ(FirstAt("2026-03-02 01:00", "2026-03-09 00:00"),
            (TimeSpan{At("2026-03-02 01:00"), At("2026-03-02 02:00")}));
  EXPECT_EQ(FirstAt("2026-03-02 02:00", "2026-03-09 00:00"),
            (TimeSpan{At("2026-03-02 22:00"), At("2026-03-03 02:00")}));
}

TEST_F(RenewalWindowsTest, TakesTheEarliestOfSeveral) {
  Add("0 22 * * *", absl::Hours(1));
  Add("0 12 * * *", absl::Hours(1), "Asia/Tokyo");
  EXPECT_EQ(FirstAt("2026-03-01 00:00", "2026-03-09 00:00"),
            (TimeSpan{At("2026-03-01 03:00"), At("2026-03-01 04:00")}));
}

TEST_F(RenewalWindowsTest, FindsNothingAtOrAfterTheLimit) {
  Add("0 22 * * 6", absl::Hours(1));
  EXPECT_EQ(FirstAt("2026-03-01 00:00", "2026-03-07 22:00"), std::nullopt);
  EXPECT_TRUE(FirstAt("2026-03-01 00:00", "2026-03-07 22:01").has_value());
}

TEST_F(RenewalWindowsTest, RefusesAWindowThatCannotBeUnderstood) {
  Add("0 22 * * *", absl::Hours(1));
  Add("0 22 * *", absl::Hours(1));
  EXPECT_THAT(RenewalWindows::Parse(windows_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("[1].cron")));
  windows_.RemoveLast();
  Add("0 22 * * *", absl::Seconds(59));
  EXPECT_THAT(RenewalWindows::Parse(windows_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("[1].duration")));
  windows_.RemoveLast();
  Add("0 22 * * *", absl::Hours(1), "Mars/Olympus");
  EXPECT_THAT(RenewalWindows::Parse(windows_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("[1].timezone")));
}

}  // namespace
}  // namespace certwright::issuer_service
