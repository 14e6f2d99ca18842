// A network of its own for a test whose peers insist on the ports 53 and 80 and on the system's
// resolver: Linux's user, network and mount namespaces.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace certwright::harness {

inline constexpr int kDnsPort = 53;
inline constexpr int kHttpPort = 80;

// Moves this process, with all that it starts from then on, into a network that is nothing but
// a loopback interface, on which every port is free and may be listened at. There,
// /etc/resolv.conf names 127.0.0.1 alone; `folder` holds that file. The process must have one
// thread only. PERMISSION_DENIED where the system does not let it, as in many containers: then
// nothing has changed.
absl::Status EnterOwnNetwork(const std::string& folder);

}  // namespace certwright::harness
