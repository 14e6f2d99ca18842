#include "services/issuer/renewal.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "lib/pki/digest.h"
#include "services/issuer/renewal_windows.h"

namespace certwright::issuer_service {
namespace {

constexpr absl::Duration kShortLifetime = absl::Hours(10 * 24);
constexpr double kJitterPart = 0.1;
constexpr double kLastPart = 0.1;

absl::Duration TimeBeforeEnd(const issuer::v1::CertificateSpec& spec, absl::Duration lifetime) {
  const absl::Duration wanted = absl::Seconds(spec.renew_before().seconds());
  if (spec.has_renew_before() && wanted < lifetime) return wanted;
  if (spec.renew_before_percentage() > 0)
    return lifetime * spec.renew_before_percentage() / 100;
  return lifetime < kShortLifetime ? lifetime / 2 : lifetime / 3;
}

}  // namespace

double JitterOf(const std::string& certificate_uid, const PresentCertificate& present) {
  const std::string digest =
      pki::Sha256(absl::StrCat(certificate_uid, "/", absl::ToUnixSeconds(present.not_after)));
  uint32_t number = 0;
  for (int i = 0; i < 4; ++i) number = number << 8 | static_cast<unsigned char>(digest[i]);
  return number / 4294967296.0;
}

absl::Time RenewalTime(const issuer::v1::CertificateSpec& spec,
                       const std::string& certificate_uid, const PresentCertificate& present,
                       const std::optional<RenewalAdvice>& advice) {
  const absl::Duration lifetime = present.not_after - present.not_before;
  const absl::Time last_moment = present.not_after - lifetime * kLastPart;
  const double jitter = JitterOf(certificate_uid, present);
  absl::Time time;
  if (advice.has_value()) {
    time = std::min(advice->selected, last_moment);
    // A moment that was over when it was suggested is one that must not be waited for.
    if (advice->selected <= advice->given) return time;
  } else {
    const absl::Duration before = TimeBeforeEnd(spec, lifetime);
    time = present.not_after - before - before * (kJitterPart * jitter);
  }
  time = std::max(time, present.not_before);
  const auto windows = RenewalWindows::Parse(spec.renewal_windows());
  if (!windows.ok() || windows->empty()) return time;
  const std::optional<TimeSpan> span = windows->FirstAt(time, last_moment);
  if (!span.has_value()) return time;
  // Those that were waiting for the window share it.
  const absl::Time end = std::min(span->end, last_moment);
  return span->begin == time ? time : span->begin + (end - span->begin) * jitter;
}

}  // namespace certwright::issuer_service
