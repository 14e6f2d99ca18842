// CallerCertificates: whether the certificate that a caller came with still counts at each
// call.
//
// gRPC looks at certificates when a connection begins, and connections last. Parsing is
// remembered, so that a call costs some microseconds.
//
// Threading: safe from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/security/auth_context.h"
#include "lib/base/clock.h"
#include "lib/pki/decode_cache.h"
#include "lib/rpc/revocations.h"
#include "lib/rpc/tls_files.h"

namespace certwright::rpc {

class CallerCertificates {
 public:
  using Source = std::function<std::shared_ptr<const Revocations>()>;

  // `source` tells what counts at the moment; null is nothing revoked. `clock` must outlive
  // this.
  CallerCertificates(Source source, const base::Clock& clock);

  // Follows the files, as FollowTlsFiles() does and with its errors.
  static absl::StatusOr<std::shared_ptr<const CallerCertificates>> Follow(
      const TlsFiles& files, const base::Clock& clock);

  // OK for a caller without a certificate. UNAUTHENTICATED, saying why, if the caller's is not
  // valid now, or if it or one that came with it is revoked or denied.
  absl::Status Check(const grpc::AuthContext& context) const;

 private:
  // The caller's first, then what it has sent to lead to the CA.
  using Chain = std::shared_ptr<const std::vector<CertificateFacts>>;

  static absl::StatusOr<Chain> Parse(const std::string& pem);

  const Source source_;
  const base::Clock& clock_;
  mutable pki::DecodeCache<Chain> chains_;
};

}  // namespace certwright::rpc
