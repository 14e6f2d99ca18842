// Who may call the solver service's methods: docs/SECURITY.md.
#pragma once

#include "lib/rpc/access.h"

namespace certwright::solver {

rpc::PermissionTable SolverPermissions();

}  // namespace certwright::solver
