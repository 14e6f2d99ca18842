// Channels to other services.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/channel.h"
#include "lib/rpc/tls.h"

namespace certwright::rpc {

struct ChannelOptions {
  // "host:port", or another target that gRPC knows.
  std::string address;
  // Plaintext without.
  std::optional<TlsFiles> tls;
  // Name that the server's certificate must have instead of the host's; empty for that.
  std::string server_name;
};

// A channel that finds a peer that was started again within half a second, notices a dead one
// by keepalive within 80 s, and connects only when it is used.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const ChannelOptions& options);

}  // namespace certwright::rpc
