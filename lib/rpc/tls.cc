#include "lib/rpc/tls.h"

#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "lib/base/status_macros.h"

namespace certwright::rpc {
namespace {

// gRPC has no other way to be told of a new certificate than to look at files.
constexpr unsigned int kLookSeconds = 1;

std::shared_ptr<grpc::experimental::FileWatcherCertificateProvider> Provider(
    const TlsCopies& copies) {
  return std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      copies.identity, copies.identity, copies.ca, kLookSeconds);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsFiles& files, ClientCertificate client) {
  CW_ASSIGN_OR_RETURN(const TlsCopies copies, FollowTlsFiles(files));
  grpc::experimental::TlsServerCredentialsOptions options(Provider(copies));
  options.watch_identity_key_cert_pairs();
  options.watch_root_certs();
  options.set_cert_request_type(client == ClientCertificate::kRequired
                                    ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                    : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const TlsFiles& files) {
  CW_ASSIGN_OR_RETURN(const TlsCopies copies, FollowTlsFiles(files));
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(Provider(copies));
  options.watch_identity_key_cert_pairs();
  options.watch_root_certs();
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace certwright::rpc
