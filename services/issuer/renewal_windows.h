// Renewal windows: times that come again and again, written in cron's five fields.
//
// A field is "*", a number, a range "a-b", each with a step "/n", or a list of these with
// commas; months and days of the week may be given by their first three letters, and Sunday is
// 0 or 7. If both days are restricted, either one is enough, as cron has it. A time that a
// change to summer time skips does not come that day; one that comes twice counts once.
#pragma once

#include <bitset>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"

namespace certwright::issuer_service {

class CronSchedule {
 public:
  // INVALID_ARGUMENT names the field and its rule.
  static absl::StatusOr<CronSchedule> Parse(absl::string_view text);

  // The first minute after `time`, in the time zone, that the schedule names; InfiniteFuture()
  // if there is none within five years ("30 February").
  absl::Time Next(absl::Time time, absl::TimeZone zone) const;

 private:
  bool DayMatches(absl::CivilDay day) const;

  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<7> weekdays_;
  bool any_day_ = false;
  bool any_weekday_ = false;
};

struct TimeSpan {
  absl::Time begin;
  absl::Time end;

  friend bool operator==(const TimeSpan&, const TimeSpan&) = default;
};

class RenewalWindows {
 public:
  // INVALID_ARGUMENT, with the position and the field, unless every window can be understood:
  // the time zone is known here, and the duration is from 1 minute to 7 days.
  static absl::StatusOr<RenewalWindows> Parse(
      const google::protobuf::RepeatedPtrField<issuer::v1::RenewalWindow>& windows);

  bool empty() const { return windows_.empty(); }

  // The first span of a window that ends after `time`, cut to begin no earlier than `time`;
  // nothing if none begins before `limit`.
  std::optional<TimeSpan> FirstAt(absl::Time time, absl::Time limit) const;

 private:
  struct Window {
    CronSchedule schedule;
    absl::Duration duration;
    absl::TimeZone zone;
  };
  std::vector<Window> windows_;
};

}  // namespace certwright::issuer_service
