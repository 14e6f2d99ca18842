// Accounts: the ACME accounts of the issuers: their keys, and what is signed with them.
//
// Keys are read from their Secrets when first used and kept in memory until the issuer or the
// Secret changes. Threading: safe from any thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "certwright/meta/v1/meta.pb.h"
#include "lib/acme/client.h"
#include "lib/acme/jws.h"
#include "lib/base/mutex.h"
#include "lib/pki/key.h"
#include "lib/runtime/awaitable.h"
#include "lib/service/acme_clients.h"
#include "lib/service/environment.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

// An issuer of either kind.
struct AnyIssuer {
  meta::v1::IssuerRef ref;
  meta::v1::ObjectMeta metadata;
  issuer::v1::IssuerSpec spec;
  issuer::v1::IssuerStatus status;
};

template <typename Resource>
AnyIssuer ToAnyIssuer(const Resource& resource, meta::v1::IssuerKind kind) {
  AnyIssuer issuer;
  issuer.ref.set_name(resource.metadata().name());
  issuer.ref.set_kind(kind);
  issuer.metadata = resource.metadata();
  issuer.spec = resource.spec();
  issuer.status = resource.status();
  return issuer;
}

// Whether Ready is True and about the present spec.
bool IsReady(const AnyIssuer& issuer);

// Whether the account of the status is one of this key, at the server of the spec.
bool IsRegisteredWith(const AnyIssuer& issuer, const pki::PublicKey& key);

// Whether DeactivateAccount has ended the account of this key. Another key, or another server
// in the spec, is another account and so a new beginning.
bool IsDeactivated(const AnyIssuer& issuer, const pki::PublicKey& key);

// The kind of key that an issuer asks for.
pki::KeySpec AccountKeySpec(issuer::v1::AccountKeyAlgorithm algorithm);

// Where a new account key waits, beside the present one, until the CA has it.
meta::v1::SecretKeyRef NextKeyRef(const meta::v1::SecretKeyRef& key);

// What a client is told when the CA did not do `what`: UNAVAILABLE, RESOURCE_EXHAUSTED and the
// like where trying again may help, else FAILED_PRECONDITION.
absl::Status CaError(absl::string_view what, const absl::Status& error);

struct SigningAccount {
  std::string uri;
  pki::PublicKey public_key;
  std::shared_ptr<acme::LocalJwsSigner> signer;
  std::shared_ptr<acme::AcmeClient> client;
};

class Accounts {
 public:
  // References must outlive this.
  Accounts(service::Environment environment, Stores& stores,
           std::string cluster_resource_namespace)
      : stores_(stores),
        cluster_resource_namespace_(std::move(cluster_resource_namespace)),
        clients_(environment) {}

  // Where the Secrets are that an issuer names.
  std::string SecretNamespace(const meta::v1::IssuerRef& ref,
                              absl::string_view issuer_namespace) const;

  // NOT_FOUND if there is no such issuer.
  runtime::Awaitable<absl::StatusOr<AnyIssuer>> FindIssuer(runtime::Context context,
                                                           meta::v1::IssuerRef ref,
                                                           std::string resource_namespace);

  // One value of a Secret; NOT_FOUND names what is missing.
  runtime::Awaitable<absl::StatusOr<base::Secret>> ReadSecret(runtime::Context context,
                                                              std::string secret_namespace,
                                                              meta::v1::SecretKeyRef ref);

  // Stores `status` as that of `issuer`. ABORTED unless the issuer is as it was read.
  runtime::Awaitable<absl::Status> WriteStatus(runtime::Context context, AnyIssuer issuer,
                                               issuer::v1::IssuerStatus status);
  // The same, to be committed with other changes; nothing if that is the status already.
  absl::StatusOr<std::optional<store::Mutation>> StatusMutation(
      const AnyIssuer& issuer, issuer::v1::IssuerStatus status) const;

  // The account of a registered issuer. FAILED_PRECONDITION if it is not registered;
  // UNAVAILABLE while its key is being changed, as only the CA knows which one it has.
  runtime::Awaitable<absl::StatusOr<std::shared_ptr<const SigningAccount>>> Find(
      runtime::Context context, meta::v1::IssuerRef ref, std::string resource_namespace);

  // A client of the CA, shared by the issuers that have the same directory and trust.
  std::shared_ptr<acme::AcmeClient> ClientFor(const issuer::v1::AcmeIssuer& spec) {
    return clients_.For(spec);
  }

  // Forgets what is kept of one issuer (service::IssuerKey()), or of all whose Secret may have
  // changed.
  void Forget(const std::string& issuer_key);
  void ForgetAll();

  // Somebody was told that the CA does not know an issuer's account, or not as it was: the
  // issuer's next pass asks the CA.
  void Doubt(const std::string& issuer_key);
  bool TakeDoubt(const std::string& issuer_key);

  // For whoever changes an account key, by the Secret that holds it: one at a time in this
  // process. False if another one does.
  bool ClaimKey(const std::string& secret);
  void ReleaseKey(const std::string& secret);

 private:
  runtime::Awaitable<absl::StatusOr<std::shared_ptr<const SigningAccount>>> Load(
      runtime::Context context, meta::v1::IssuerRef ref, std::string resource_namespace);

  Stores& stores_;
  const std::string cluster_resource_namespace_;
  service::AcmeClients clients_;
  base::Mutex mutex_;
  // Grows with each Forget(), so that what was read before one is not kept after it.
  int64_t generation_ CW_GUARDED_BY(mutex_) = 0;
  std::map<std::string, std::shared_ptr<const SigningAccount>> accounts_ CW_GUARDED_BY(mutex_);
  std::set<std::string> doubts_ CW_GUARDED_BY(mutex_);
  std::set<std::string> claimed_keys_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
