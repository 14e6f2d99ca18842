#include "services/issuer/issuance_pace.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lib/service/conditions.h"
#include "services/issuer/issuance_failure.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateStatus;
using issuer::v1::IssuanceStart;

constexpr int kDayWindows = 24;
constexpr std::size_t kMostWithAdvised = 3;
// Clocks are put right by as much all the time.
constexpr absl::Duration kClockSlack = absl::Minutes(1);

absl::Time TimeOf(const IssuanceStart& start) { return service::FromProto(start.time()); }

// When the last but `count` - 1 of `times`, in order of time, is out of the window.
absl::Time RoomAt(const std::vector<absl::Time>& times, std::size_t count,
                  absl::Duration window) {
  if (times.size() < count) return absl::InfinitePast();
  return times[times.size() - count] + window;
}

}  // namespace

absl::Time NextIssuanceAt(const CertificateStatus& status, IssuanceCause cause,
                          const PaceRules& rules, absl::Time now) {
  std::vector<absl::Time> all;
  std::vector<absl::Time> unscheduled;
  for (const IssuanceStart& start : status.issuance_starts()) {
    const absl::Time time = TimeOf(start);
    if (time > now + kClockSlack) continue;
    all.push_back(time);
    if (!start.scheduled() && time + kDayWindows * rules.window > now) {
      unscheduled.push_back(time);
    }
  }
  absl::Time next = RoomAt(all, static_cast<std::size_t>(rules.issuances), rules.window);
  if (cause == IssuanceCause::kScheduled) return next;
  next = std::max(next, RoomAt(unscheduled, 2 * static_cast<std::size_t>(rules.issuances),
                               kDayWindows * rules.window));
  if (cause == IssuanceCause::kAdvised) {
    return std::max(next, RoomAt(all, kMostWithAdvised, rules.window));
  }
  if (cause == IssuanceCause::kAsked || unscheduled.empty()) return next;
  const int64_t minutes = absl::ToInt64Minutes(
      FailureBackoff(FailureClass::kServer, static_cast<int>(unscheduled.size())));
  return std::max(next, all.back() + rules.window * minutes / 60);
}

void NoteIssuance(IssuanceCause cause, int generation, const PaceRules& rules, absl::Time now,
                  CertificateStatus& status) {
  auto& starts = *status.mutable_issuance_starts();
  const auto is_over = [&](const IssuanceStart& start) {
    const absl::Duration kept = start.scheduled() ? rules.window : kDayWindows * rules.window;
    return TimeOf(start) + kept <= now || TimeOf(start) > now + kClockSlack;
  };
  starts.erase(std::remove_if(starts.begin(), starts.end(), is_over), starts.end());
  IssuanceStart& start = *starts.Add();
  *start.mutable_time() = service::ToProto(now);
  start.set_generation(generation);
  start.set_scheduled(cause == IssuanceCause::kScheduled);
}

bool HasNewSpec(const issuer::v1::Certificate& certificate) {
  const auto& starts = certificate.status().issuance_starts();
  return !starts.empty() &&
         starts.rbegin()->generation() != certificate.metadata().generation();
}

}  // namespace certwright::issuer_service
