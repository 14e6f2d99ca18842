// Issuers: the issuers as the order and the solver service see them: a live copy of their
// specs and states, and per ACME issuer a client of its CA that signs through the issuer
// service (AccountService.SignJws), so that no account key is ever here.
//
// Threading: all methods are safe from any thread. Lifetime: the environment and the channel
// must outlive this; Stop() before destruction.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "certwright/meta/v1/meta.pb.h"
#include "grpcpp/channel.h"
#include "lib/acme/client.h"
#include "lib/acme/jws.h"
#include "lib/runtime/awaitable.h"
#include "lib/service/environment.h"

namespace certwright::service {

// One ACME issuer that is Ready. Immutable; a changed issuer is another object.
struct AcmeAccount {
  issuer::v1::AcmeIssuer spec;
  // The account's URL and the thumbprint of its key.
  std::string uri;
  std::string key_thumbprint;
  // Shared by all issuers of the same directory and trust, with its nonces.
  std::shared_ptr<acme::AcmeClient> client;
  // Signs with the account's key, remotely.
  std::shared_ptr<acme::JwsSigner> signer;
};

class Issuers {
 public:
  // `changed` gets IssuerKey() of each issuer that appeared, changed or went, on a thread
  // of gRPC; it must be quick.
  using Changed = std::function<void(const std::string& issuer)>;

  Issuers(Environment environment, std::shared_ptr<grpc::Channel> issuer_service,
          Changed changed);
  ~Issuers();
  Issuers(const Issuers&) = delete;
  Issuers& operator=(const Issuers&) = delete;

  void Start();
  void Stop();

  // OK once all that exists at the issuer service is known here.
  runtime::Awaitable<absl::Status> WaitForSync(runtime::Context context);

  // NOT_FOUND if there is no such issuer; FAILED_PRECONDITION if it is not Ready yet or is not
  // an ACME issuer; UNAVAILABLE while the issuer service has not been reached yet. Both are
  // worth waiting for: `changed` tells. `resource_namespace` is that of the resource that
  // refers to it.
  absl::StatusOr<std::shared_ptr<const AcmeAccount>> Find(
      const meta::v1::IssuerRef& ref, absl::string_view resource_namespace) const;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace certwright::service
