// Mutual TLS between services, from files that are read again when they change.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "lib/rpc/tls_files.h"

namespace certwright::rpc {

// Whether clients must show a certificate. One that is shown must be good either way.
enum class ClientCertificate { kRequired, kOptional };

// Both check the files first, as CheckTlsFiles() does, and follow them.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsFiles& files, ClientCertificate client = ClientCertificate::kRequired);
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const TlsFiles& files);

}  // namespace certwright::rpc
