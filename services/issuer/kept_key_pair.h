// The key pair that a Certificate was given last, in a record of its own: what others do to the
// Secret that users read then costs no new certificate.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

// What `request`, which has a certificate, and `next_key`, with which it was made, come to.
issuer::v1::Secret MakeKeptKeyPair(const issuer::v1::Certificate& certificate,
                                   const issuer::v1::CertificateRequest& request,
                                   const issuer::v1::Secret& next_key);

// Makes `secret`, which may be empty, the one of spec.secret_name with that key pair. What else
// it holds stays.
void Fill(const issuer::v1::Certificate& certificate, const issuer::v1::Secret& kept,
          issuer::v1::Secret& secret);

// Nothing if none is kept, or only that of an earlier Certificate of the same name. The caller
// wipes it.
runtime::Awaitable<absl::StatusOr<std::optional<issuer::v1::Secret>>> ReadKeptKeyPair(
    runtime::Context context, Stores& stores, const issuer::v1::Certificate& certificate);

}  // namespace certwright::issuer_service
