// Who may call the order service's methods: docs/SECURITY.md.
#pragma once

#include "lib/rpc/access.h"

namespace certwright::order {

rpc::PermissionTable OrderPermissions();

}  // namespace certwright::order
