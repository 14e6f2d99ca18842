// The key for a Certificate's next request: which one it is, and where it waits for its
// certificate.
#pragma once

#include <cstdint>
#include <optional>

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

// Whether the Secret was made for a next key, rather than by somebody who likes the name.
bool IsNextKey(const issuer::v1::Secret& secret);

// What the Secret in which the next key is to wait must be when the key is put there: the
// revision of one that an earlier attempt has left, or 0 for none. FAILED_PRECONDITION, with
// what to do about it, if somebody else's is there. References must outlive the call.
runtime::Awaitable<absl::StatusOr<int64_t>> FindPlaceForNextKey(
    runtime::Context context, Stores& stores, const issuer::v1::Certificate& certificate);

}  // namespace certwright::issuer_service
