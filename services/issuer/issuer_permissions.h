// Who may call the issuer service's methods: docs/SECURITY.md.
#pragma once

#include "lib/rpc/access.h"

namespace certwright::issuer_service {

rpc::PermissionTable IssuerPermissions();

}  // namespace certwright::issuer_service
