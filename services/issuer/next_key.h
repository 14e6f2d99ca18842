// The key for a Certificate's next request: which one it is, and where it waits for its
// certificate.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/pki/key.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "services/issuer/kinds.h"
#include "services/issuer/new_keys.h"

namespace certwright::issuer_service {

// The key in `secret`, that of spec.secret_name, where the policy keeps it, it fits, is not
// `compromised`, and is in a Secret that was made for this Certificate; else a new one.
// References must outlive the call.
runtime::Awaitable<absl::StatusOr<pki::PrivateKey>> ChooseNextKey(
    runtime::Context context, NewKeys& new_keys, const issuer::v1::Certificate& certificate,
    const std::optional<issuer::v1::Secret>& secret, bool compromised);

// The Secret in which the next key of the Certificate of that name waits.
std::string NextKeySecretName(const std::string& certificate);

// Whether there is no Secret of that name, or one that was made for a next key.
runtime::Awaitable<absl::StatusOr<bool>> HasRoomForNextKey(
    runtime::Context context, Stores& stores, const issuer::v1::Certificate& certificate);

}  // namespace certwright::issuer_service
