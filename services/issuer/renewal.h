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
};

// What the CA advises about that certificate.
struct RenewalAdvice {
  // A moment in the window that it suggests.
  absl::Time selected;
  // When it first suggested that window.
  absl::Time given;
};

// Moves a moment for each Certificate by another, but always the same, part of what it may be
// moved by, so that certificates issued together are not renewed together. From 0 up to 1.
double JitterOf(const std::string& certificate_uid, const PresentCertificate& present);

// The moment to renew.
//
// Without advice it is spec.renewBefore or renewBeforePercentage before the end, or a third of
// the lifetime (half, if that is under 10 days), and up to a tenth of that time earlier. Advice
// of the CA takes its place, but not beyond the last tenth of the lifetime.
// A moment outside of all renewal windows moves into the next one, if that begins before the
// last tenth of the lifetime; advice to renew at once does not wait for a window.
absl::Time RenewalTime(const issuer::v1::CertificateSpec& spec,
                       const std::string& certificate_uid, const PresentCertificate& present,
                       const std::optional<RenewalAdvice>& advice);

}  // namespace certwright::issuer_service
