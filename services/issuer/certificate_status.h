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

// Notes the certificate that the Certificate is given.
void NoteGiven(const KeyPairFacts& facts, issuer::v1::CertificateStatus& status);

// Describes the present key pair, and when it is renewed. Whether it was given to this very
// Certificate is known from its CertificateRequests for one that came before statuses noted it.
void DescribePresent(const CertificateRequests& requests, const KeyPairFacts& present,
                     absl::Time now, issuer::v1::Certificate& certificate);

}  // namespace certwright::issuer_service
