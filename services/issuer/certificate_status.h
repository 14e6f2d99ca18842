// What the status of a Certificate says about its key pair.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "services/issuer/certificate_decision.h"
#include "services/issuer/certificate_requests.h"

namespace certwright::issuer_service {

// What the condition Ready says of a key pair that serves. `trouble` is a clause about what
// else is not as the spec wants it; empty for nothing.
Finding UpToDate(const std::string& trouble = "");

void SetReady(bool ready, const Finding& finding, absl::Time now,
              issuer::v1::Certificate& certificate);

// IssuancePaced while the decision is to wait for that.
void FollowPace(const CertificateDecision& decision, absl::Time now,
                issuer::v1::Certificate& certificate);

// When an overdue renewal begins, if the decision is to let it wait.
void NoteOverdue(const CertificateDecision& decision, issuer::v1::CertificateStatus& status);

// How long an overdue renewal that has begun, and had to wait, goes on waiting; zero for a
// Certificate that has nothing which serves.
absl::Duration OverdueWait(const issuer::v1::Certificate& certificate, absl::Time now);

// Whether the certificate whose place is taken now had served for less than a tenth of its time
// when the CA advised to renew it.
bool IsRenewedEarly(const issuer::v1::Certificate& certificate, const KeyPairFacts& present,
                    absl::Time now);

// Whether the spec has changed since the condition Ready was set.
bool HasUnseenSpec(const issuer::v1::Certificate& certificate);

// Notes the certificate that the Certificate is given.
void NoteGiven(const KeyPairFacts& facts, issuer::v1::CertificateStatus& status);

// Describes the present key pair, and when it is renewed. Whether it was given to this very
// Certificate is known from its CertificateRequests for one that came before statuses noted it.
void DescribePresent(const CertificateRequests& requests, const KeyPairFacts& present,
                     absl::Time now, issuer::v1::Certificate& certificate);

}  // namespace certwright::issuer_service
