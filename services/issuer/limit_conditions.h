// What a Certificate says about limits of its CA: the conditions RateLimited and Paused of its
// CertificateRequest.
#pragma once

#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"

namespace certwright::issuer_service {

// RateLimited while `request`, the one on its way, waits for a limit, with the time at which it
// goes on as status.next_attempt_time. `request` is null if there is none.
void FollowRateLimit(const issuer::v1::CertificateRequest* request, absl::Time now,
                     issuer::v1::Certificate& certificate);

// Paused if that is why `request`, which is over, failed. It stays until another one is over.
void FollowPause(const issuer::v1::CertificateRequest& request, absl::Time now,
                 issuer::v1::Certificate& certificate);

// Whether the CA has paused the names of the request.
bool IsPaused(const issuer::v1::CertificateRequest& request);

}  // namespace certwright::issuer_service
