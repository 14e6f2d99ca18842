// How often one Certificate is issued, whatever for: every issuance is noted in its status when
// it begins, and the next one is held until enough time has passed since those. Pure functions.
#pragma once

#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"

namespace certwright::issuer_service {

struct PaceRules {
  // How many issuances may begin in any one window.
  int issuances = 5;
  absl::Duration window = absl::Hours(1);
};

enum class IssuanceCause {
  // The certificate has served for its time.
  kScheduled,
  // A user has asked for it, or another issuer is turned to.
  kAsked,
  // The CA advises to replace a certificate that has hardly served.
  kAdvised,
  // Anything else: the Secret is gone or was changed, the request is lost.
  kUnasked,
};

// When the next issuance may begin: InfinitePast() at once.
//
// Any window has at most `issuances`. Those that are not scheduled are at most twice as many in
// any 24 windows, and one that nobody has asked for keeps a distance to the last which grows as
// that after failures does. What a CA advises may be one of three in a window: with a CA that
// always advises it, the others are needed before short certificates end. Starts that lie ahead
// were noted under a clock that has been set back since, and do not count.
absl::Time NextIssuanceAt(const issuer::v1::CertificateStatus& status, IssuanceCause cause,
                          const PaceRules& rules, absl::Time now);

// Notes one that begins, and forgets those that no longer matter.
void NoteIssuance(IssuanceCause cause, int generation, const PaceRules& rules, absl::Time now,
                  issuer::v1::CertificateStatus& status);

// Whether the spec has changed since an issuance was begun last.
bool HasNewSpec(const issuer::v1::Certificate& certificate);

}  // namespace certwright::issuer_service
