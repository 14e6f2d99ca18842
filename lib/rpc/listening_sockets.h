// Sockets that listen for TCP connections, by the addresses that configurations have.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/file_descriptor.h"

namespace certwright::rpc {

struct ListeningSockets {
  // Not blocking. More than one if a name has several addresses.
  std::vector<base::FileDescriptor> sockets;
  // The same for all.
  int port = 0;
};

// `address` is "host:port": an IP address ("[::1]:7001"), or a name, which is resolved now;
// this blocks. "0.0.0.0" and "[::]" take IPv4 and IPv6 where the machine has both. Port 0 is
// any free one. ALREADY_EXISTS if the port is in use, also by a server of the same user;
// PERMISSION_DENIED if this process may not listen there; INVALID_ARGUMENT for what is no
// address of this machine.
absl::StatusOr<ListeningSockets> ListenAt(const std::string& address);

}  // namespace certwright::rpc
