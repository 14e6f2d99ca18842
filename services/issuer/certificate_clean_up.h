// What is deleted with a Certificate, and before: its requests, and the Secrets that are not
// its users'. The Secret of spec.secret_name stays.
#pragma once

#include "absl/status/status.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/store/resource_key.h"
#include "services/issuer/certificate_requests.h"
#include "services/issuer/fresh_keys.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

// Deletes the oldest requests beyond spec.revision_history_limit. References must outlive the
// call, here and below.
runtime::Awaitable<absl::Status> Prune(runtime::Context context, Stores& stores,
                                       const CertificateRequests& requests,
                                       const issuer::v1::Certificate& certificate);

// Deletes what a Certificate that is gone has left.
runtime::Awaitable<absl::Status> CleanUpAfter(runtime::Context context, Stores& stores,
                                              const CertificateRequests& requests,
                                              FreshKeys& fresh_keys,
                                              store::ResourceName certificate);

}  // namespace certwright::issuer_service
