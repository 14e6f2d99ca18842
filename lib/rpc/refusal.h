// What kind of error another service has answered with.
#pragma once

#include "absl/status/status.h"

namespace certwright::rpc {

// Whether another service has refused a call for what it asks. The same call would be refused
// again: a failure with a reason, and no outage.
inline bool IsRefusal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status) ||
         absl::IsOutOfRange(status);
}

}  // namespace certwright::rpc
