// Mutual TLS between services, from files that are read again when they change.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"

namespace certwright::rpc {

struct TlsFiles {
  std::string certificate;
  std::string private_key;
  // What the other side's certificate must be signed by.
  std::string ca;
};

// Reads the three files and checks that key and certificate belong together: gRPC itself
// would start without them and refuse every handshake. The error names the file.
absl::Status CheckTlsFiles(const TlsFiles& files);

// Both check the files first. Clients must show a certificate.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsFiles& files);
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const TlsFiles& files);

}  // namespace certwright::rpc
