// When a certificate is renewed: a pure function of its lifetime, its Certificate's wishes,
// what the CA advises (RFC 9773) and the renewal windows.
#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"

namespace certwright::issuer_service {

struct PresentCertificate {
  absl::Time not_before;
  absl::Time not_after;
  // When it came; InfinitePast() if nobody noted it. CAs date certificates back, and what was
  // over by then is no time in which it could serve.
  absl::Time issued = absl::InfinitePast();
  // Whether it came because the CA advised to renew its predecessor early.
  bool renewed_early = false;
};

// What the CA advises about that certificate.
struct RenewalAdvice {
  // A moment in the window that it suggests.
  absl::Time selected;
  // When it first suggested that window.
  absl::Time given;
};

struct RenewalPlan {
  absl::Time time;
  // Set if what was asked for is at once, or nearly so, and is not done: a word and a sentence
  // for the condition RenewalAdjusted.
  std::string adjusted_reason = {};
  std::string adjusted_message = {};
};

// Moves a moment for each Certificate by another, but always the same, part of what it may be
// moved by, so that certificates issued together are not renewed together. From 0 up to 1.
double JitterOf(const std::string& certificate_uid, const PresentCertificate& present);

// What was left of the certificate when it came; the parts below are parts of that.
absl::Duration LeftAtIssuance(const PresentCertificate& present);

// The end of the first tenth. Only advice of the CA leads to renewal before.
absl::Time EndOfFirstTenth(const PresentCertificate& present);

// The moment to renew, always before the end.
//
// Without advice it is spec.renewBefore or renewBeforePercentage before the end, or a third
// (half, if what was left is under 10 days), and up to a tenth of that time earlier, but not in
// the first tenth, nor in the first 15 minutes unless it ends soon after. Advice of the CA
// takes its place, but not beyond the last tenth; and before that earliest moment only if the
// certificate did not itself come by such advice, since a CA that always says so would be asked
// without end. A moment outside of all renewal windows moves into the next one, if that begins
// before the last tenth; advice to renew at once, which counts from when it was given, does not
// wait for a window.
RenewalPlan PlanRenewal(const issuer::v1::CertificateSpec& spec,
                        const std::string& certificate_uid, const PresentCertificate& present,
                        const std::optional<RenewalAdvice>& advice);

// The moment of that plan.
absl::Time RenewalTime(const issuer::v1::CertificateSpec& spec,
                       const std::string& certificate_uid, const PresentCertificate& present,
                       const std::optional<RenewalAdvice>& advice);

// Whether a renewal that was due at `due` is late because nothing was renewed for a while.
bool IsOverdue(absl::Time due, absl::Time now);

// When such a renewal begins: those that end soon at once, the others spread over some minutes
// by what is left until the end and by `jitter`, JitterOf().
absl::Time StartOfOverdue(absl::Time due, absl::Time not_after, double jitter, absl::Time now);

}  // namespace certwright::issuer_service
