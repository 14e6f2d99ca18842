// What server.limits of a configuration means.
#pragma once

#include <string>
#include <vector>

#include "certwright/config/v1/common.pb.h"
#include "lib/rpc/call.h"
#include "lib/rpc/server.h"

namespace certwright::service {

// Every problem, "field: rule" each.
std::vector<std::string> ValidateServerLimits(const config::v1::ServerLimits& limits);

// Also bounds what gRPC buffers, by the memory that this process may use.
rpc::ServerLimits ToServerLimits(const config::v1::ServerLimits& config);
rpc::CallSlotLimits ToCallSlotLimits(const config::v1::ServerLimits& config);
rpc::DeadlineOptions ToDeadlineOptions(const config::v1::ServerLimits& config);

}  // namespace certwright::service
