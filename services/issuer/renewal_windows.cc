#include "services/issuer/renewal_windows.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/status_macros.h"

namespace certwright::issuer_service {
namespace {

constexpr std::size_t kMaxCronBytes = 200;
constexpr absl::Duration kMinDuration = absl::Minutes(1);
constexpr absl::Duration kMaxDuration = absl::Hours(7 * 24);
constexpr int kSearchedYears = 5;
constexpr std::size_t kMaxTimeZoneName = 64;

struct Field {
  const char* name;
  int lowest;
  int highest;
  // Names of the values from `lowest` on; empty if it has none.
  std::vector<absl::string_view> words;
};

const std::array<Field, 5>& Fields() {
  static const auto* const fields = new std::array<Field, 5>{{
      {"minute", 0, 59, {}},
      {"hour", 0, 23, {}},
      {"day of the month", 1, 31, {}},
      {"month",
       1,
       12,
       {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
      {"day of the week", 0, 7, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
  }};
  return *fields;
}

absl::Status Broken(const Field& field) {
  return absl::InvalidArgumentError(
      absl::StrCat("its ", field.name, " must be \"*\", or numbers from ", field.lowest, " to ",
                   field.highest, " in lists (1,2), ranges (1-5) and steps (*/2)"));
}

absl::StatusOr<int> ParseValue(const Field& field, absl::string_view text) {
  for (std::size_t i = 0; i < field.words.size(); ++i) {
    if (absl::AsciiStrToLower(text) == field.words[i])
      return field.lowest + static_cast<int>(i);
  }
  int value = 0;
  const bool digits = !text.empty() && text.size() <= 2 &&
                      std::ranges::all_of(text, [](char c) { return absl::ascii_isdigit(c); });
  if (!digits || !absl::SimpleAtoi(text, &value) || value < field.lowest ||
      value > field.highest) {
    return Broken(field);
  }
  return value;
}

// Bit n is set if the value n is meant.
absl::StatusOr<uint64_t> ParsePart(const Field& field, absl::string_view part) {
  const std::vector<absl::string_view> with_step = absl::StrSplit(part, '/');
  if (with_step.size() > 2) return Broken(field);
  int step = 1;
  if (with_step.size() == 2 &&
      (!absl::SimpleAtoi(with_step[1], &step) || step < 1 || step > 60)) {
    return Broken(field);
  }
  int first = field.lowest;
  int last = field.highest;
  if (with_step[0] != "*") {
    const std::vector<absl::string_view> range = absl::StrSplit(with_step[0], '-');
    if (range.size() > 2) return Broken(field);
    CW_ASSIGN_OR_RETURN(first, ParseValue(field, range[0]));
    if (range.size() == 2) {
      CW_ASSIGN_OR_RETURN(last, ParseValue(field, range[1]));
    } else if (with_step.size() == 1) {
      last = first;
    }
  }
  if (first > last) return Broken(field);
  uint64_t bits = 0;
  for (int value = first; value <= last; value += step) bits |= uint64_t{1} << value;
  return bits;
}

absl::StatusOr<uint64_t> ParseField(const Field& field, absl::string_view text) {
  uint64_t bits = 0;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    CW_ASSIGN_OR_RETURN(const uint64_t some, ParsePart(field, part));
    bits |= some;
  }
  return bits;
}

}  // namespace

absl::StatusOr<CronSchedule> CronSchedule::Parse(absl::string_view text) {
  const std::vector<absl::string_view> texts =
      absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (text.size() > kMaxCronBytes || texts.size() != Fields().size()) {
    return absl::InvalidArgumentError(
        "must have five fields: minute, hour, day of the month, month, day of the week");
  }
  std::array<uint64_t, 5> bits;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    CW_ASSIGN_OR_RETURN(bits[i], ParseField(Fields()[i], texts[i]));
  }
  CronSchedule schedule;
  schedule.minutes_ = bits[0];
  schedule.hours_ = bits[1];
  schedule.days_ = bits[2];
  schedule.months_ = bits[3];
  // 7 is Sunday too.
  schedule.weekdays_ = (bits[4] | (bits[4] >> 7)) & 0x7f;
  schedule.any_day_ = texts[2].front() == '*';
  schedule.any_weekday_ = texts[4].front() == '*';
  return schedule;
}

bool CronSchedule::DayMatches(absl::CivilDay day) const {
  if (!months_[static_cast<std::size_t>(day.month())]) return false;
  const bool by_day = days_[static_cast<std::size_t>(day.day())];
  // absl counts from Monday, cron from Sunday.
  const std::size_t weekday = (static_cast<std::size_t>(absl::GetWeekday(day)) + 1) % 7;
  const bool by_weekday = weekdays_[weekday];
  if (any_day_ || any_weekday_) return by_day && by_weekday;
  return by_day || by_weekday;
}

absl::Time CronSchedule::Next(absl::Time time, absl::TimeZone zone) const {
  const absl::CivilMinute start = absl::ToCivilMinute(time, zone);
  const absl::CivilDay last_day = absl::CivilDay(start) + 366 * kSearchedYears;
  for (absl::CivilDay day(start); day <= last_day; ++day) {
    if (!DayMatches(day)) continue;
    for (int hour = 0; hour < 24; ++hour) {
      if (!hours_[static_cast<std::size_t>(hour)]) continue;
      for (int minute = 0; minute < 60; ++minute) {
        if (!minutes_[static_cast<std::size_t>(minute)]) continue;
        const absl::CivilMinute civil(day.year(), day.month(), day.day(), hour, minute);
        if (civil < start) continue;
        const absl::TimeZone::TimeInfo info = zone.At(absl::CivilSecond(civil));
        if (info.kind == absl::TimeZone::TimeInfo::SKIPPED) continue;
        if (info.pre > time) return info.pre;
      }
    }
  }
  return absl::InfiniteFuture();
}

namespace {

// What LoadTimeZone() would take for a path must not reach it.
bool IsTimeZoneName(absl::string_view name) {
  const auto is_allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '_' ||
           c == '-' || c == '+';
  };
  return name.size() <= kMaxTimeZoneName && name.front() != '/' &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

}  // namespace

absl::StatusOr<RenewalWindows> RenewalWindows::Parse(
    const google::protobuf::RepeatedPtrField<issuer::v1::RenewalWindow>& windows) {
  RenewalWindows parsed;
  for (int i = 0; i < windows.size(); ++i) {
    const auto refuse = [i](const char* field, absl::string_view rule) {
      return absl::InvalidArgumentError(absl::StrCat("[", i, "].", field, ": ", rule));
    };
    absl::StatusOr<CronSchedule> schedule = CronSchedule::Parse(windows[i].cron());
    if (!schedule.ok()) return refuse("cron", schedule.status().message());
    const absl::Duration duration = absl::Seconds(windows[i].duration().seconds());
    if (duration < kMinDuration || duration > kMaxDuration) {
      return refuse("duration", "must be from 1 minute to 7 days");
    }
    absl::TimeZone zone = absl::UTCTimeZone();
    const std::string& name = windows[i].timezone();
    if (!name.empty() && (!IsTimeZoneName(name) || !absl::LoadTimeZone(name, &zone))) {
      return refuse("timezone", "is not known on this machine");
    }
    parsed.windows_.push_back({*std::move(schedule), duration, zone});
  }
  return parsed;
}

std::optional<TimeSpan> RenewalWindows::FirstAt(absl::Time time, absl::Time limit) const {
  std::optional<TimeSpan> first;
  for (const Window& window : windows_) {
    // One that has begun may still be open.
    const absl::Time begin = window.schedule.Next(time - window.duration, window.zone);
    if (begin == absl::InfiniteFuture()) continue;
    const TimeSpan span{std::max(begin, time), begin + window.duration};
    if (span.begin >= limit) continue;
    if (!first.has_value() || span.begin < first->begin) first = span;
  }
  return first;
}

}  // namespace certwright::issuer_service
