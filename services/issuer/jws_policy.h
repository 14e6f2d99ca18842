// Which ACME requests the account keys may sign on behalf of the order and solver services.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lib/acme/objects.h"

namespace certwright::issuer_service {

enum class JwsCaller { kOrder, kSolver, kUnknown };

// OK if the request may be signed; PERMISSION_DENIED, saying why, otherwise. Allowed are URLs
// of the CA's own origins, but never those that change or end the account (newAccount,
// keyChange, the account itself), revoke a certificate, or are of another account (beside
// `account_url`), in any spelling that some server may read so; newOrder only for the order
// service.
// Without mutual TLS the caller is unknown: only this machine can connect, and what may be
// signed is what the order service may have signed.
absl::Status CheckJwsUrl(absl::string_view url, JwsCaller caller,
                         const acme::Directory& directory, absl::string_view directory_url,
                         absl::string_view account_url);

}  // namespace certwright::issuer_service
