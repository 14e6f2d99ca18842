#include "services/issuer/issuer_reconciler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/acme/problem.h"
#include "lib/base/status_macros.h"
#include "lib/pki/jose.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "lib/telemetry/log.h"

namespace certwright::issuer_service {
namespace {

// A person has to act; looking again this often costs nothing.
constexpr absl::Duration kOperatorRetry = absl::Minutes(10);

pki::KeySpec AccountKeySpec(issuer::v1::AccountKeyAlgorithm algorithm) {
  switch (algorithm) {
    case issuer::v1::ACCOUNT_KEY_ALGORITHM_ECDSA_P384:
      return {pki::KeyAlgorithm::kEcdsa, 384};
    case issuer::v1::ACCOUNT_KEY_ALGORITHM_RSA_2048:
      return {pki::KeyAlgorithm::kRsa, 2048};
    case issuer::v1::ACCOUNT_KEY_ALGORITHM_RSA_4096:
      return {pki::KeyAlgorithm::kRsa, 4096};
    default:
      return {pki::KeyAlgorithm::kEcdsa, 256};
  }
}

struct IssuerName {
  meta::v1::IssuerRef ref;
  std::string resource_namespace;
};

IssuerName ParseIssuerKey(absl::string_view key) {
  IssuerName name;
  if (absl::ConsumePrefix(&key, "ClusterIssuer ")) {
    name.ref.set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  } else {
    absl::ConsumePrefix(&key, "Issuer ");
    name.ref.set_kind(meta::v1::ISSUER_KIND_ISSUER);
    const std::size_t slash = key.find('/');
    name.resource_namespace = std::string(key.substr(0, slash));
    key.remove_prefix(slash + 1);
  }
  name.ref.set_name(std::string(key));
  return name;
}

// Registered already, with this key, contact and directory.
bool IsCurrent(const AnyIssuer& issuer, const std::string& thumbprint) {
  const issuer::v1::AcmeIssuerStatus& status = issuer.status.acme();
  return !status.uri().empty() && status.account_key_thumbprint() == thumbprint &&
         status.server() == issuer.spec.acme().server() &&
         status.last_registered_email() == issuer.spec.acme().email();
}

}  // namespace

runtime::Awaitable<absl::StatusOr<controller::Result>> IssuerReconciler::Reconcile(
    runtime::Context context, std::string key) {
  const IssuerName name = ParseIssuerKey(key);
  absl::StatusOr<AnyIssuer> issuer =
      co_await accounts_.FindIssuer(context, name.ref, name.resource_namespace);
  if (absl::IsNotFound(issuer.status())) {
    accounts_.Forget(key);
    co_return controller::Result();
  }
  if (!issuer.ok()) co_return issuer.status();
  if (!issuer->spec.has_acme()) co_return co_await ReconcileSigning(context, *issuer);
  Outcome outcome = co_await ReconcileAcme(context, *issuer);
  // What was kept is older than what is written now.
  accounts_.Forget(key);
  CW_CO_RETURN_IF_ERROR(co_await Write(context, *issuer, std::move(outcome.status)));
  co_return std::move(outcome.result);
}

runtime::Awaitable<absl::StatusOr<controller::Result>> IssuerReconciler::ReconcileSigning(
    runtime::Context context, const AnyIssuer& issuer) {
  CW_CO_ASSIGN_OR_RETURN(SigningIssuers::Readiness found,
                         co_await signing_.CheckReady(context, issuer));
  issuer::v1::IssuerStatus status = issuer.status;
  status.clear_acme();
  const service::ConditionUpdate ready{"Ready", found.ready, std::move(found.reason),
                                       std::move(found.message)};
  service::SetCondition(*status.mutable_conditions(), ready, issuer.metadata.generation(),
                        environment_.clock().Now());
  CW_CO_RETURN_IF_ERROR(co_await Write(context, issuer, std::move(status)));
  co_return found.next;
}

IssuerReconciler::Outcome IssuerReconciler::NotReady(
    const AnyIssuer& issuer, std::string reason, std::string message,
    absl::StatusOr<controller::Result> result) const {
  Outcome outcome{issuer.status, std::move(result)};
  const service::ConditionUpdate ready{"Ready", false, std::move(reason), std::move(message)};
  service::SetCondition(*outcome.status.mutable_conditions(), ready,
                        issuer.metadata.generation(), environment_.clock().Now());
  return outcome;
}

runtime::Awaitable<IssuerReconciler::Outcome> IssuerReconciler::ReconcileAcme(
    runtime::Context context, AnyIssuer issuer) {
  absl::StatusOr<pki::PrivateKey> key = co_await LoadOrMakeKey(context, issuer);
  if (absl::IsNotFound(key.status())) {
    // The Secret's appearance wakes this issuer again.
    co_return NotReady(issuer, "AccountKeyMissing", std::string(key.status().message()),
                       controller::Result());
  }
  if (absl::IsInvalidArgument(key.status())) {
    co_return NotReady(
        issuer, "InvalidConfig",
        absl::StrCat("The Secret ", issuer.spec.acme().private_key_secret_ref().name(),
                     " holds no usable account key: ", key.status().message()),
        controller::Result());
  }
  if (!key.ok()) {
    co_return NotReady(issuer, "Pending", "The account key could not be read.", key.status());
  }
  if (IsCurrent(issuer, pki::JwkThumbprint(key->public_key())) && IsReady(issuer)) {
    co_return Outcome{issuer.status, controller::Result()};
  }
  co_return co_await Register(context, std::move(issuer), *std::move(key));
}

runtime::Awaitable<IssuerReconciler::Outcome> IssuerReconciler::Register(
    runtime::Context context, AnyIssuer issuer, pki::PrivateKey account_key) {
  absl::StatusOr<acme::Account> account = co_await CallCa(context, issuer, account_key);
  if (!account.ok()) {
    const std::string message =
        absl::StrCat("The account could not be registered: ", account.status().message());
    switch (acme::ClassOf(account.status())) {
      case acme::ErrorClass::kRetryAt: {
        const absl::Time at = acme::RetryAtOf(account.status()).value_or(absl::InfinitePast());
        controller::Result later;
        later.requeue_after = std::max(at - environment_.clock().Now(), absl::Seconds(1));
        co_return NotReady(issuer, "ErrRegisterACMEAccount", message, later);
      }
      case acme::ErrorClass::kOperator:
      case acme::ErrorClass::kPermanent: {
        controller::Result later;
        later.requeue_after = kOperatorRetry;
        co_return NotReady(issuer, "ErrRegisterACMEAccount", message, later);
      }
      default:
        co_return NotReady(issuer, "ErrRegisterACMEAccount", message, account.status());
    }
  }
  Outcome outcome{issuer.status, controller::Result()};
  issuer::v1::AcmeIssuerStatus& status = *outcome.status.mutable_acme();
  status.set_uri(account->url);
  status.set_last_registered_email(issuer.spec.acme().email());
  status.set_account_key_thumbprint(pki::JwkThumbprint(account_key.public_key()));
  status.set_server(issuer.spec.acme().server());
  const service::ConditionUpdate ready{"Ready", true, "ACMEAccountRegistered",
                                       "The account is registered with the ACME server."};
  service::SetCondition(*outcome.status.mutable_conditions(), ready,
                        issuer.metadata.generation(), environment_.clock().Now());
  telemetry::LogInfo("account registered",
                     {{"issuer", issuer.metadata.name()}, {"account", account->url}});
  co_return outcome;
}

runtime::Awaitable<absl::StatusOr<acme::Account>> IssuerReconciler::CallCa(
    runtime::Context context, const AnyIssuer& issuer, pki::PrivateKey account_key) {
  const issuer::v1::AcmeIssuer& spec = issuer.spec.acme();
  const std::shared_ptr<acme::AcmeClient> client = accounts_.ClientFor(spec);
  acme::NewAccountRequest request;
  if (!spec.email().empty()) request.contacts.push_back("mailto:" + spec.email());
  if (spec.has_external_account_binding()) {
    CW_CO_ASSIGN_OR_RETURN(
        base::Secret mac_key,
        co_await accounts_.ReadSecret(
            context, accounts_.SecretNamespace(issuer.ref, issuer.metadata.namespace_()),
            spec.external_account_binding().key_secret_ref()));
    request.external_account.emplace();
    request.external_account->key_id = spec.external_account_binding().key_id();
    request.external_account->mac_key = std::move(mac_key);
  }
  const std::vector<std::string> contacts = request.contacts;
  CW_CO_ASSIGN_OR_RETURN(acme::Account account,
                         co_await client->NewAccount(context, account_key, std::move(request)));
  if (account.status != acme::AccountStatus::kValid) {
    co_return acme::ErrorWithClass(
        absl::StatusCode::kFailedPrecondition,
        absl::StrCat("the account is ", acme::StatusName(account.status),
                     "; delete its key Secret to register another"),
        acme::ErrorClass::kOperator);
  }
  // An account that the CA knew keeps its contacts until it is told.
  if (!account.created && account.contacts != contacts) {
    acme::LocalJwsSigner signer(account_key, account.url);
    CW_CO_ASSIGN_OR_RETURN(
        const acme::Account updated,
        co_await client->UpdateAccount(context, signer, account.url, contacts));
    account.contacts = updated.contacts;
  }
  co_return account;
}

runtime::Awaitable<absl::StatusOr<pki::PrivateKey>> IssuerReconciler::LoadOrMakeKey(
    runtime::Context context, const AnyIssuer& issuer) {
  const std::string secret_namespace =
      accounts_.SecretNamespace(issuer.ref, issuer.metadata.namespace_());
  absl::StatusOr<base::Secret> pem = co_await accounts_.ReadSecret(
      context, secret_namespace, issuer.spec.acme().private_key_secret_ref());
  if (pem.ok()) co_return pki::PrivateKey::ParsePem(pem->Reveal());
  const bool make =
      absl::IsNotFound(pem.status()) && !issuer.spec.acme().disable_account_key_generation();
  if (!make) co_return pem.status();
  absl::StatusOr<pki::PrivateKey> made = co_await MakeKey(context, issuer);
  // A Secret that lacks only the value is somebody's: it is left as it is.
  if (absl::IsAlreadyExists(made.status())) co_return pem.status();
  co_return made;
}

runtime::Awaitable<absl::StatusOr<pki::PrivateKey>> IssuerReconciler::MakeKey(
    runtime::Context context, const AnyIssuer& issuer) {
  CW_CO_ASSIGN_OR_RETURN(
      const pki::PrivateKey key,
      pki::PrivateKey::Generate(AccountKeySpec(issuer.spec.acme().account_key_algorithm())));
  const meta::v1::SecretKeyRef& ref = issuer.spec.acme().private_key_secret_ref();
  const base::Secret pem = key.ToPem();
  issuer::v1::Secret secret;
  secret.mutable_metadata()->set_namespace_(
      accounts_.SecretNamespace(issuer.ref, issuer.metadata.namespace_()));
  secret.mutable_metadata()->set_name(ref.name());
  secret.set_type("Opaque");
  (*secret.mutable_data())[ref.key()] = std::string(pem.Reveal());
  absl::StatusOr<issuer::v1::Secret> created =
      co_await stores_.secrets.Create(context, std::move(secret));
  if (!created.ok()) co_return created.status();
  base::Wipe((*created->mutable_data())[ref.key()]);
  co_return key;
}

runtime::Awaitable<absl::Status> IssuerReconciler::Write(runtime::Context context,
                                                         const AnyIssuer& issuer,
                                                         issuer::v1::IssuerStatus status) {
  if (service::IsCluster(issuer.ref)) {
    issuer::v1::ClusterIssuer resource;
    *resource.mutable_metadata() = issuer.metadata;
    *resource.mutable_status() = std::move(status);
    const auto written =
        co_await stores_.cluster_issuers.UpdateStatus(context, std::move(resource));
    co_return written.status();
  }
  issuer::v1::Issuer resource;
  *resource.mutable_metadata() = issuer.metadata;
  *resource.mutable_status() = std::move(status);
  const auto written = co_await stores_.issuers.UpdateStatus(context, std::move(resource));
  co_return written.status();
}

}  // namespace certwright::issuer_service
