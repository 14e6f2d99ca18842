// IssuerReconciler: gives each ACME issuer an account: makes its key, registers it, keeps its
// contact current, and says in the condition Ready how that went.
//
// The key is committed before it is registered, so that a lost answer costs nothing: the same
// key finds the same account (RFC 8555 §7.3.1).
#pragma once

#include <string>

#include "lib/controller/controller.h"
#include "lib/service/environment.h"
#include "services/issuer/accounts.h"
#include "services/issuer/kinds.h"
#include "services/issuer/signing_issuers.h"

namespace certwright::issuer_service {

// Keys are service::IssuerKey(): "Issuer <namespace>/<name>" or "ClusterIssuer <name>".
class IssuerReconciler final : public controller::Reconciler {
 public:
  IssuerReconciler(service::Environment environment, Stores& stores, Accounts& accounts)
      : environment_(environment),
        stores_(stores),
        accounts_(accounts),
        signing_(environment, stores, accounts) {}

  runtime::Awaitable<absl::StatusOr<controller::Result>> Reconcile(runtime::Context context,
                                                                   std::string key) override;

 private:
  // What a pass found out: the new status, and what comes next.
  struct Outcome {
    issuer::v1::IssuerStatus status;
    absl::StatusOr<controller::Result> result;
  };
  // An issuer without ACME.
  runtime::Awaitable<absl::StatusOr<controller::Result>> ReconcileSigning(
      runtime::Context context, const AnyIssuer& issuer);
  runtime::Awaitable<Outcome> ReconcileAcme(runtime::Context context, AnyIssuer issuer);
  runtime::Awaitable<Outcome> Register(runtime::Context context, AnyIssuer issuer,
                                       pki::PrivateKey account_key);
  runtime::Awaitable<absl::StatusOr<pki::PrivateKey>> LoadOrMakeKey(runtime::Context context,
                                                                    const AnyIssuer& issuer);
  runtime::Awaitable<absl::StatusOr<pki::PrivateKey>> MakeKey(runtime::Context context,
                                                              const AnyIssuer& issuer);
  runtime::Awaitable<absl::StatusOr<acme::Account>> CallCa(runtime::Context context,
                                                           const AnyIssuer& issuer,
                                                           pki::PrivateKey account_key);
  runtime::Awaitable<absl::Status> Write(runtime::Context context, const AnyIssuer& issuer,
                                         issuer::v1::IssuerStatus status);
  Outcome NotReady(const AnyIssuer& issuer, std::string reason, std::string message,
                   absl::StatusOr<controller::Result> result) const;

  const service::Environment environment_;
  Stores& stores_;
  Accounts& accounts_;
  SigningIssuers signing_;
};

}  // namespace certwright::issuer_service
