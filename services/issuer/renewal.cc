#include "services/issuer/renewal.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/pki/digest.h"
#include "services/issuer/renewal_windows.h"

namespace certwright::issuer_service {
namespace {

constexpr absl::Duration kShortLifetime = absl::Hours(10 * 24);
constexpr double kJitterPart = 0.1;
constexpr double kFirstPart = 0.1;
constexpr double kLastPart = 0.1;
// No sooner than this after it came, if that can be: see issuance_pace.h.
constexpr absl::Duration kShortestService = absl::Minutes(15);
constexpr absl::Duration kOnTime = absl::Minutes(1);
constexpr absl::Duration kOverdueSpread = absl::Minutes(10);
// Spreading takes no more of what is left.
constexpr double kSpreadPart = 0.1;

absl::Time ServesFrom(const PresentCertificate& present) {
  return std::max(present.not_before, present.issued);
}

absl::Time LastMoment(const PresentCertificate& present) {
  return present.not_after - LeftAtIssuance(present) * kLastPart;
}

std::string Text(absl::Duration duration) {
  return absl::FormatDuration(absl::Trunc(duration, absl::Seconds(1)));
}

struct Margin {
  absl::Duration time;
  std::string adjusted_reason = {};
  std::string adjusted_message = {};
};

// `wanted` before the end, if that is not in the first tenth.
Margin MarginOf(const PresentCertificate& present, absl::Duration wanted,
                absl::string_view reason, absl::string_view field) {
  const absl::Duration left = LeftAtIssuance(present);
  if (wanted <= left - left * kFirstPart) return {wanted};
  const bool is_short = left < kShortLifetime;
  const absl::Duration used = is_short ? left / 2 : left / 3;
  return {used, std::string(reason),
          absl::StrCat(field, " asks for renewal ", Text(wanted),
                       " before the end, which is at once or nearly so: ", Text(left),
                       " were left of the certificate when it came. ",
                       is_short ? "Half" : "A third", " of that, ", Text(used),
                       ", is used instead.")};
}

Margin MarginOf(const issuer::v1::CertificateSpec& spec, const PresentCertificate& present) {
  const absl::Duration left = LeftAtIssuance(present);
  if (spec.has_renew_before()) {
    return MarginOf(present, absl::Seconds(spec.renew_before().seconds()), "RenewBeforeTooLong",
                    "spec.renewBefore");
  }
  if (spec.renew_before_percentage() > 0) {
    return MarginOf(present, left * spec.renew_before_percentage() / 100,
                    "RenewBeforePercentageTooHigh", "spec.renewBeforePercentage");
  }
  return {left < kShortLifetime ? left / 2 : left / 3};
}

// Before that only advice of the CA leads to renewal, once.
absl::Time EarliestOf(const PresentCertificate& present) {
  return std::max(EndOfFirstTenth(present),
                  std::min(ServesFrom(present) + kShortestService, LastMoment(present)));
}

RenewalPlan PlanByMargin(const issuer::v1::CertificateSpec& spec,
                         const PresentCertificate& present, double jitter) {
  Margin margin = MarginOf(spec, present);
  const absl::Time earliest = EarliestOf(present);
  const absl::Time wanted = present.not_after - margin.time * (1 + kJitterPart * jitter);
  return {std::max(wanted, earliest), std::move(margin.adjusted_reason),
          std::move(margin.adjusted_message)};
}

bool IsAtOnce(const RenewalAdvice& advice) { return advice.selected <= advice.given; }

RenewalPlan PlanByAdvice(const RenewalAdvice& advice, const PresentCertificate& present) {
  const absl::Time wanted =
      std::clamp(IsAtOnce(advice) ? advice.given : advice.selected, ServesFrom(present),
                 std::max(ServesFrom(present), LastMoment(present)));
  const absl::Time earliest = EarliestOf(present);
  if (wanted >= earliest || !present.renewed_early) return {wanted};
  return {earliest, "AdvisedTooEarly",
          absl::StrCat("The CA advises to renew at once, or nearly so, a certificate that came "
                       "because it had advised so. It is renewed after ",
                       Text(earliest - ServesFrom(present)), ".")};
}

}  // namespace

double JitterOf(const std::string& certificate_uid, const PresentCertificate& present) {
  const std::string digest =
      pki::Sha256(absl::StrCat(certificate_uid, "/", absl::ToUnixSeconds(present.not_after)));
  uint32_t number = 0;
  for (int i = 0; i < 4; ++i) number = number << 8 | static_cast<unsigned char>(digest[i]);
  return number / 4294967296.0;
}

absl::Duration LeftAtIssuance(const PresentCertificate& present) {
  return std::max(present.not_after - ServesFrom(present), absl::ZeroDuration());
}

absl::Time EndOfFirstTenth(const PresentCertificate& present) {
  return ServesFrom(present) + LeftAtIssuance(present) * kFirstPart;
}

RenewalPlan PlanRenewal(const issuer::v1::CertificateSpec& spec,
                        const std::string& certificate_uid, const PresentCertificate& present,
                        const std::optional<RenewalAdvice>& advice) {
  const double jitter = JitterOf(certificate_uid, present);
  RenewalPlan plan =
      advice.has_value() ? PlanByAdvice(*advice, present) : PlanByMargin(spec, present, jitter);
  // A moment that was over when it was suggested is one that must not be waited for.
  if (advice.has_value() && IsAtOnce(*advice)) return plan;
  const auto windows = RenewalWindows::Parse(spec.renewal_windows());
  if (!windows.ok() || windows->empty()) return plan;
  const absl::Time last_moment = LastMoment(present);
  const std::optional<TimeSpan> span = windows->FirstAt(plan.time, last_moment);
  if (!span.has_value() || span->begin == plan.time) return plan;
  // Those that were waiting for the window share it.
  const absl::Time end = std::min(span->end, last_moment);
  plan.time = span->begin + (end - span->begin) * jitter;
  return plan;
}

absl::Time RenewalTime(const issuer::v1::CertificateSpec& spec,
                       const std::string& certificate_uid, const PresentCertificate& present,
                       const std::optional<RenewalAdvice>& advice) {
  return PlanRenewal(spec, certificate_uid, present, advice).time;
}

bool IsOverdue(absl::Time due, absl::Time now) { return now - due > kOnTime; }

absl::Time StartOfOverdue(absl::Time due, absl::Time not_after, double jitter, absl::Time now) {
  const absl::Duration left = not_after - now;
  if (left <= absl::ZeroDuration()) return now;
  const double part = std::clamp(absl::FDivDuration(left, not_after - due), 0.0, 1.0);
  return now + std::min(kOverdueSpread, left * kSpreadPart) * part * ((1 + jitter) / 2);
}

}  // namespace certwright::issuer_service
