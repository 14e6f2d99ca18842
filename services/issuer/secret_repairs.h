// What somebody else does to the Secret that a Certificate writes, a sync tool or a second
// controller say: how often it was written again, when that may be next, and the condition
// SecretOverwritten, which tells its users. Pure functions.
#pragma once

#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"

namespace certwright::issuer_service {

// When the Secret may be written again: the first time at once, then after 1, 2, 4 … and at
// most 60 s, since the other writer may answer every write.
absl::Time NextRepairAt(const issuer::v1::CertificateStatus& status, absl::Time now);

// Notes that it is written again.
void NoteRepair(absl::Time now, issuer::v1::Certificate& certificate);

// Forgets all after an hour without. When that will be; InfiniteFuture() if nothing is noted.
absl::Time ForgetRepairs(absl::Time now, issuer::v1::CertificateStatus& status);

}  // namespace certwright::issuer_service
