// Temporary certificates: what a Secret holds until the real certificate is there, for programs
// that do not start without one.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/base/secret.h"
#include "lib/pki/key.h"

namespace certwright::issuer_service {

// On a Certificate, "true": it wants one.
inline constexpr char kIssueTemporaryAnnotation[] =
    "cert-manager.io/issue-temporary-certificate";

bool WantsTemporaryCertificate(const issuer::v1::Certificate& certificate);

// The Secret of `certificate` with a certificate that `key` has signed itself, for the names
// and the time that the spec says, and never a CA's. kTemporaryAnnotation marks it.
// `key_pem` is `key`, as the Secret is to hold it.
absl::StatusOr<issuer::v1::Secret> MakeTemporarySecret(
    const issuer::v1::Certificate& certificate, const pki::PrivateKey& key,
    const base::Secret& key_pem, absl::Time now);

}  // namespace certwright::issuer_service
