// The `access` section of a configuration file.
#pragma once

#include <string>
#include <vector>

#include "certwright/config/v1/common.pb.h"
#include "lib/rpc/access.h"
#include "lib/rpc/call_rate.h"
#include "lib/rpc/change_rate.h"

namespace certwright::service {

// Every problem, "access.grants[0].identity: is required" each.
std::vector<std::string> ValidateAccess(const config::v1::Access& access);

// Of a valid section. Enforced if the listener has TLS.
rpc::AccessPolicy ToAccessPolicy(const config::v1::Access& access,
                                 const config::v1::Server& server);

// Of a valid section.
rpc::CallRateOptions ToCallRate(const config::v1::Access& access);
rpc::ChangeRateOptions ToChangeRate(const config::v1::Access& access);

}  // namespace certwright::service
