// Channels to the other services, as the configuration names them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/config/v1/common.pb.h"
#include "grpcpp/channel.h"
#include "lib/rpc/tls.h"

namespace certwright::service {

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakePeerChannel(const config::v1::Peer& peer);

// Nothing if `present` is false.
std::optional<rpc::TlsFiles> ToTlsFiles(bool present, const config::v1::Tls& tls);

// "host:port" with a loopback host: "localhost", 127.0.0.0/8 or [::1].
bool IsLoopbackAddress(const std::string& address);

// Every problem of a part of a configuration, as "server.listen: …"; `field` names the part.
std::vector<std::string> ValidateServer(const config::v1::Server& server);
std::vector<std::string> ValidatePeer(const config::v1::Peer& peer, const std::string& field);

}  // namespace certwright::service
