// IssuerReconciler: gives each ACME issuer an account: makes its key, registers it, keeps its
// contact current, finishes changes of its key, and says in the condition Ready how that went.
//
// The key is committed before it is registered, so that a lost answer costs nothing: the same
// key finds the same account (RFC 8555 §7.3.1).
//
// A CA may forget an account, end it, or want its user to agree to new terms. The account is
// therefore looked up every few hours, and at once when an order says that the CA did not know
// it (DoubtedBy()): one that is unknown is registered again, once per pass. The order and
// solver services cannot do so, as the keys are here; what they hear of the outcome is the
// issuer's new status.
#pragma once

#include <map>
#include <string>

#include "absl/time/time.h"
#include "certwright/order/v1/order.pb.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/controller/controller.h"
#include "lib/service/environment.h"
#include "services/issuer/account_rollover.h"
#include "services/issuer/accounts.h"
#include "services/issuer/kinds.h"
#include "services/issuer/private_cas.h"
#include "services/issuer/secret_users.h"
#include "services/issuer/signing_issuers.h"

namespace certwright::issuer_service {

// Keys are service::IssuerKey(): "Issuer <namespace>/<name>" or "ClusterIssuer <name>".
class IssuerReconciler final : public controller::Reconciler {
 public:
  // All must outlive this.
  IssuerReconciler(service::Environment environment, Stores& stores, Accounts& accounts,
                   const SecretUsers& secret_users, PrivateCas& private_cas)
      : environment_(environment),
        stores_(stores),
        accounts_(accounts),
        secret_users_(secret_users),
        private_cas_(private_cas),
        signing_(environment, stores, accounts),
        rollover_(environment, stores, accounts) {}

  runtime::Awaitable<absl::StatusOr<controller::Result>> Reconcile(runtime::Context context,
                                                                   std::string key) override;

  // The key of the issuer whose account the CA did not accept as it is, as an order has just
  // begun to say; its next pass asks the CA. Empty for other changes of orders.
  std::string DoubtedBy(const order::v1::Order* before, const order::v1::Order* now);

 private:
  // What a pass found out: the new status, and what comes next.
  struct Outcome {
    issuer::v1::IssuerStatus status;
    absl::StatusOr<controller::Result> result;
  };
  // An issuer without ACME.
  runtime::Awaitable<absl::StatusOr<controller::Result>> ReconcileSigning(
      runtime::Context context, const AnyIssuer& issuer);
  // Why the Secret that is to hold the account key is none for it; empty if it is.
  runtime::Awaitable<absl::StatusOr<std::string>> WhyNoKeyThere(runtime::Context context,
                                                                const AnyIssuer& issuer);
  runtime::Awaitable<Outcome> ReconcileAcme(runtime::Context context, AnyIssuer issuer);
  runtime::Awaitable<Outcome> Register(runtime::Context context, AnyIssuer issuer,
                                       pki::PrivateKey account_key);
  // Whether the CA has the account of the status still; one that it lacks is registered.
  runtime::Awaitable<Outcome> Verify(runtime::Context context, AnyIssuer issuer,
                                     pki::PrivateKey account_key);
  // Tells the CA of another contact.
  runtime::Awaitable<Outcome> UpdateContact(runtime::Context context, AnyIssuer issuer,
                                            pki::PrivateKey account_key);
  runtime::Awaitable<absl::StatusOr<pki::PrivateKey>> LoadOrMakeKey(runtime::Context context,
                                                                    const AnyIssuer& issuer);
  runtime::Awaitable<absl::StatusOr<pki::PrivateKey>> MakeKey(runtime::Context context,
                                                              const AnyIssuer& issuer);
  runtime::Awaitable<absl::StatusOr<acme::Account>> CallCa(runtime::Context context,
                                                           const AnyIssuer& issuer,
                                                           pki::PrivateKey account_key);
  Outcome NotReady(const AnyIssuer& issuer, std::string reason, std::string message,
                   absl::StatusOr<controller::Result> result) const;
  // What a CA's error asks for; `reason` unless it tells a better one.
  Outcome Refused(const AnyIssuer& issuer, std::string reason, absl::string_view what,
                  const absl::Status& error) const;
  // The account is as `account` says; it is looked up again later.
  Outcome Registered(const AnyIssuer& issuer, const acme::Account& account,
                     const pki::PublicKey& key);

  // When the account is to be looked up again. Right after a start that is not known: then
  // some time within the interval, so that not all are looked up at once.
  base::MonotonicTime NextVerification(const std::string& issuer_key);
  void SetNextVerification(const std::string& issuer_key, absl::Duration delay);

  const service::Environment environment_;
  Stores& stores_;
  Accounts& accounts_;
  const SecretUsers& secret_users_;
  PrivateCas& private_cas_;
  SigningIssuers signing_;
  AccountRollover rollover_;
  base::Mutex mutex_;
  std::map<std::string, base::MonotonicTime> next_verifications_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
