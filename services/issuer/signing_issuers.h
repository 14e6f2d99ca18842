// SigningIssuers: issuers that sign by themselves instead of ordering from an ACME server: a CA
// whose key pair is in a Secret, the requester's own key, and the PKI engine of a Vault server.
//
// Threading: safe from any thread. Secrets are read anew for each call; of a Vault issuer the
// client is kept, with its token, for as long as neither the issuer nor its Secret changes.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/controller/controller.h"
#include "lib/pki/csr.h"
#include "lib/pki/sign.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/service/environment.h"
#include "services/issuer/accounts.h"
#include "services/issuer/kinds.h"
#include "services/issuer/private_cas.h"
#include "services/issuer/vault_client.h"

namespace certwright::issuer_service {

// Names the Secret whose tls.key a self-signed certificate of a user's own request is signed
// with. Only whoever may read that Secret may create such a request.
inline constexpr char kPrivateKeySecretAnnotation[] = "cert-manager.io/private-key-secret-name";

class SigningIssuers {
 public:
  struct Signed {
    // The certificate, then its chain without the root.
    std::string certificate_pem;
    // The topmost certificate known.
    std::string ca_pem;
  };
  // What an issuer's condition Ready is to say, and when to look again.
  struct Readiness {
    bool ready = false;
    std::string reason;
    std::string message;
    controller::Result next;
    // Of a CA issuer that is ready; `since` is not set.
    std::optional<PrivateCa> ca = {};
  };

  // References must outlive this.
  SigningIssuers(service::Environment environment, Stores& stores, Accounts& accounts)
      : environment_(environment), stores_(stores), accounts_(accounts) {}

  // What `issuer`, which is no ACME issuer, makes of the request. The request's public key and
  // names are in it unless a Vault server did not do as it was asked.
  //
  // Errors that IsFinal() are the request's own; after others the same request may be signed
  // later: UNAVAILABLE for what passes, FAILED_PRECONDITION and NOT_FOUND for what an operator
  // has to put right.
  runtime::Awaitable<absl::StatusOr<Signed>> Sign(runtime::Context context,
                                                  issuer::v1::CertificateRequest request,
                                                  AnyIssuer issuer);

  // An error only if that could not be found out.
  runtime::Awaitable<absl::StatusOr<Readiness>> CheckReady(runtime::Context context,
                                                           AnyIssuer issuer);

  // Whether `status`, of Sign(), says that this request will never be signed:
  // INVALID_ARGUMENT, PERMISSION_DENIED.
  static bool IsFinal(const absl::Status& status);

 private:
  using Request = issuer::v1::CertificateRequest;
  // A CA with what its subscribers are to trust.
  struct Authority {
    pki::SigningCa ca;
    std::string ca_pem;
  };
  struct KnownVault {
    // Of the issuer and its Secret.
    std::string version;
    std::shared_ptr<VaultClient> client;
  };

  runtime::Awaitable<absl::StatusOr<Signed>> SignByCa(runtime::Context context, Request request,
                                                      pki::Csr csr, AnyIssuer issuer);
  runtime::Awaitable<absl::StatusOr<Signed>> SignBySelf(runtime::Context context,
                                                        Request request, pki::Csr csr,
                                                        AnyIssuer issuer);
  runtime::Awaitable<absl::StatusOr<Signed>> SignByVault(runtime::Context context,
                                                         Request request, pki::Csr csr,
                                                         AnyIssuer issuer);
  // The Secret of that name which the issuer may read. NOT_FOUND names it.
  runtime::Awaitable<absl::StatusOr<issuer::v1::Secret>> ReadSecret(
      runtime::Context context, std::string resource_namespace, std::string name);
  // FAILED_PRECONDITION says why the key pair is none of a CA that can sign now.
  runtime::Awaitable<absl::StatusOr<Authority>> LoadAuthority(runtime::Context context,
                                                              const AnyIssuer& issuer);
  // The name of the Secret with the key that `request` was made with. UNAVAILABLE if that is
  // not known any more, INVALID_ARGUMENT if nobody says it.
  runtime::Awaitable<absl::StatusOr<std::string>> FindKeySecret(runtime::Context context,
                                                                const Request& request);
  runtime::Awaitable<absl::StatusOr<std::shared_ptr<VaultClient>>> FindVault(
      runtime::Context context, const AnyIssuer& issuer);
  runtime::Awaitable<absl::StatusOr<Readiness>> CheckCa(runtime::Context context,
                                                        const AnyIssuer& issuer);
  runtime::Awaitable<absl::StatusOr<Readiness>> CheckVault(runtime::Context context,
                                                           const AnyIssuer& issuer);
  // What the certificate is to hold, but for what the issuer adds.
  pki::CertificateTemplate TemplateFor(const Request& request, const pki::Csr& csr) const;

  const service::Environment environment_;
  Stores& stores_;
  Accounts& accounts_;
  base::Mutex mutex_;
  // By the issuer's uid. Forgotten as a whole when there are too many.
  std::map<std::string, KnownVault> vaults_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
