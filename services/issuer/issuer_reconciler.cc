#include "services/issuer/issuer_reconciler.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/acme/problem.h"
#include "lib/base/fault_point.h"
#include "lib/base/status_macros.h"
#include "lib/pki/jose.h"
#include "lib/pki/names.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "lib/store/resource_key.h"
#include "lib/telemetry/log.h"
#include "services/issuer/account_deactivation.h"
#include "services/issuer/given_certificate.h"
#include "services/issuer/secret_ownership.h"

namespace certwright::issuer_service {
namespace {

// A person has to act; looking again this often costs nothing.
constexpr absl::Duration kOperatorRetry = absl::Minutes(10);

// How often an account that serves is looked up at its CA, and how soon again when the CA could
// not be asked.
constexpr absl::Duration kVerificationInterval = absl::Hours(6);
constexpr absl::Duration kVerificationRetry = absl::Minutes(1);
// Whoever changes an account key is looked after this often.
constexpr absl::Duration kRolloverCheck = absl::Seconds(5);

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

std::string KeyOf(const AnyIssuer& issuer) {
  return service::IssuerKey(issuer.ref, issuer.metadata.namespace_());
}

std::vector<std::string> ContactsOf(const issuer::v1::AcmeIssuer& spec) {
  if (spec.email().empty()) return {};
  // What is stored was validated.
  return {pki::MailtoUrl(spec.email()).value()};
}

controller::Result After(absl::Duration delay) {
  controller::Result result;
  result.requeue_after = delay;
  return result;
}

// Where the CA wants its user to go (RFC 8555 §7.3.3).
std::string DescribeUserAction(const absl::Status& error) {
  const std::optional<acme::Problem> problem = acme::ProblemOf(error);
  const std::string url = problem.has_value() ? problem->instance : "";
  return absl::StrCat("The CA asks a person to act, for example to agree to new terms",
                      url.empty() ? "" : ": visit ", url, ". It says: ", error.message());
}

// What a CA says to every request of an account that it has ended (RFC 8555 §7.3.6). Once there
// is an order, a name that is unauthorized is one whose proof failed.
bool WasRefusedAsUnauthorized(const order::v1::OrderStatus& status) {
  return std::any_of(status.failures().begin(), status.failures().end(),
                     [&status](const auto& failure) {
                       return failure.type() == "unauthorized" &&
                              (status.url().empty() || failure.identifier().empty());
                     });
}

// Whether the CA refused the order because of its account.
bool DoubtsAccount(const order::v1::Order& order) {
  if (WasRefusedAsUnauthorized(order.status())) return true;
  const auto* ready = service::FindCondition(order.status().conditions(), "Ready");
  return ready != nullptr && ready->status() == meta::v1::CONDITION_STATUS_FALSE &&
         (ready->reason() == "AccountDoesNotExist" || ready->reason() == "UserActionRequired");
}

// Notes what the issuer signs with, and since when.
void NoteCa(const pki::Certificate& certificate, absl::Time now,
            issuer::v1::CaIssuerStatus& status) {
  const std::string fingerprint = FingerprintOf(certificate);
  if (status.sha256_fingerprint() == fingerprint) return;
  status.set_sha256_fingerprint(fingerprint);
  *status.mutable_since() = service::ToProto(now);
}

}  // namespace

std::string IssuerReconciler::DoubtedBy(const order::v1::Order* before,
                                        const order::v1::Order* now) {
  if (now == nullptr || !DoubtsAccount(*now)) return "";
  if (before != nullptr && DoubtsAccount(*before)) return "";
  std::string issuer =
      service::IssuerKey(now->spec().issuer_ref(), now->metadata().namespace_());
  accounts_.Doubt(issuer);
  return issuer;
}

runtime::Awaitable<absl::StatusOr<controller::Result>> IssuerReconciler::Reconcile(
    runtime::Context context, std::string key) {
  const IssuerName name = ParseIssuerKey(key);
  absl::StatusOr<AnyIssuer> issuer =
      co_await accounts_.FindIssuer(context, name.ref, name.resource_namespace);
  if (absl::IsNotFound(issuer.status())) {
    accounts_.Forget(key);
    private_cas_.Forget(key);
    base::MutexLock lock(mutex_);
    next_verifications_.erase(key);
    co_return controller::Result();
  }
  if (!issuer.ok()) co_return issuer.status();
  if (!issuer->spec.has_acme()) co_return co_await ReconcileSigning(context, *issuer);
  private_cas_.Forget(key);
  const absl::StatusOr<bool> finished = co_await rollover_.Finish(context, *issuer);
  if (absl::IsAborted(finished.status())) co_return After(kRolloverCheck);
  if (finished.ok() && *finished) {
    issuer = co_await accounts_.FindIssuer(context, name.ref, name.resource_namespace);
    if (!issuer.ok()) co_return issuer.status();
  }
  Outcome outcome{issuer->status, controller::Result()};
  if (finished.ok()) {
    outcome = co_await ReconcileAcme(context, *issuer);
  } else {
    outcome = NotReady(*issuer, "ErrUpdateACMEAccount",
                       absl::StrCat("The change of the account key is not finished: ",
                                    finished.status().message()),
                       finished.status());
  }
  // What was kept is older than what is written now.
  accounts_.Forget(key);
  outcome.status.clear_ca();
  CW_CO_RETURN_IF_ERROR(
      co_await accounts_.WriteStatus(context, *issuer, std::move(outcome.status)));
  co_return std::move(outcome.result);
}

runtime::Awaitable<absl::StatusOr<controller::Result>> IssuerReconciler::ReconcileSigning(
    runtime::Context context, const AnyIssuer& issuer) {
  CW_CO_ASSIGN_OR_RETURN(SigningIssuers::Readiness found,
                         co_await signing_.CheckReady(context, issuer));
  issuer::v1::IssuerStatus status = issuer.status;
  status.clear_acme();
  if (found.ca.has_value()) {
    NoteCa(found.ca->certificate, environment_.clock().Now(), *status.mutable_ca());
    found.ca->since = service::FromProto(status.ca().since());
  } else if (!issuer.spec.has_ca()) {
    status.clear_ca();
  }
  const service::ConditionUpdate ready{"Ready", found.ready, std::move(found.reason),
                                       std::move(found.message)};
  service::SetCondition(*status.mutable_conditions(), ready, issuer.metadata.generation(),
                        environment_.clock().Now());
  CW_CO_RETURN_IF_ERROR(co_await accounts_.WriteStatus(context, issuer, std::move(status)));
  if (found.ca.has_value()) {
    private_cas_.Set(KeyOf(issuer), *std::move(found.ca));
  } else {
    private_cas_.Forget(KeyOf(issuer));
  }
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

IssuerReconciler::Outcome IssuerReconciler::Refused(const AnyIssuer& issuer, std::string reason,
                                                    absl::string_view what,
                                                    const absl::Status& error) const {
  if (acme::HasProblemType(error, "userActionRequired")) {
    return NotReady(issuer, "UserActionRequired", DescribeUserAction(error),
                    After(kOperatorRetry));
  }
  std::string message = absl::StrCat(what, ": ", error.message());
  switch (acme::ClassOf(error)) {
    case acme::ErrorClass::kRetryAt: {
      const absl::Time at = acme::RetryAtOf(error).value_or(absl::InfinitePast());
      return NotReady(issuer, std::move(reason), std::move(message),
                      After(std::max(at - environment_.clock().Now(), absl::Seconds(1))));
    }
    case acme::ErrorClass::kOperator:
    case acme::ErrorClass::kPermanent:
      return NotReady(issuer, std::move(reason), std::move(message), After(kOperatorRetry));
    default:
      return NotReady(issuer, std::move(reason), std::move(message), error);
  }
}

IssuerReconciler::Outcome IssuerReconciler::Registered(const AnyIssuer& issuer,
                                                       const acme::Account& account,
                                                       const pki::PublicKey& key) {
  if (account.status != acme::AccountStatus::kValid) {
    return NotReady(
        issuer, "AccountDeactivated",
        absl::StrCat("The account ", account.url, " is ", acme::StatusName(account.status),
                     "; delete the Secret ", issuer.spec.acme().private_key_secret_ref().name(),
                     " that holds its key to register another."),
        After(kOperatorRetry));
  }
  Outcome outcome{issuer.status, After(kVerificationInterval)};
  SetNextVerification(KeyOf(issuer), kVerificationInterval);
  issuer::v1::AcmeIssuerStatus& status = *outcome.status.mutable_acme();
  status.set_uri(account.url);
  status.set_last_registered_email(issuer.spec.acme().email());
  status.set_account_key_thumbprint(pki::JwkThumbprint(key));
  status.set_server(issuer.spec.acme().server());
  status.clear_deactivated_time();
  const service::ConditionUpdate ready{"Ready", true, "ACMEAccountRegistered",
                                       "The account is registered with the ACME server."};
  service::SetCondition(*outcome.status.mutable_conditions(), ready,
                        issuer.metadata.generation(), environment_.clock().Now());
  return outcome;
}

runtime::Awaitable<IssuerReconciler::Outcome> IssuerReconciler::ReconcileAcme(
    runtime::Context context, AnyIssuer issuer) {
  const absl::StatusOr<std::string> why_not = co_await WhyNoKeyThere(context, issuer);
  if (!why_not.ok()) {
    co_return NotReady(issuer, "Pending", "The account key could not be read.",
                       why_not.status());
  }
  // A change of that Secret, or of who needs it, wakes this issuer again.
  if (!why_not->empty()) {
    co_return NotReady(issuer, "SecretNotOwned", *why_not, controller::Result());
  }
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
  if (IsDeactivated(issuer, key->public_key())) {
    const service::ConditionUpdate ended = DeactivatedCondition(issuer);
    co_return NotReady(issuer, ended.reason, ended.message, controller::Result());
  }
  const bool doubted = accounts_.TakeDoubt(KeyOf(issuer));
  if (!IsRegisteredWith(issuer, key->public_key())) {
    co_return co_await Register(context, std::move(issuer), *std::move(key));
  }
  if (issuer.status.acme().last_registered_email() != issuer.spec.acme().email()) {
    co_return co_await UpdateContact(context, std::move(issuer), *std::move(key));
  }
  if (!IsReady(issuer)) {
    co_return co_await Register(context, std::move(issuer), *std::move(key));
  }
  const absl::Duration left =
      NextVerification(KeyOf(issuer)) - environment_.clock().MonotonicNow();
  if (doubted || left <= absl::ZeroDuration()) {
    co_return co_await Verify(context, std::move(issuer), *std::move(key));
  }
  co_return Outcome{issuer.status, After(left)};
}

runtime::Awaitable<IssuerReconciler::Outcome> IssuerReconciler::Register(
    runtime::Context context, AnyIssuer issuer, pki::PrivateKey account_key) {
  const absl::StatusOr<acme::Account> account = co_await CallCa(context, issuer, account_key);
  if (!account.ok()) {
    co_return Refused(issuer, "ErrRegisterACMEAccount", "The account could not be registered",
                      account.status());
  }
  telemetry::LogInfo("account registered",
                     {{"issuer", issuer.metadata.name()}, {"account", account->url}});
  co_return Registered(issuer, *account, account_key.public_key());
}

runtime::Awaitable<IssuerReconciler::Outcome> IssuerReconciler::Verify(
    runtime::Context context, AnyIssuer issuer, pki::PrivateKey account_key) {
  const std::shared_ptr<acme::AcmeClient> client = accounts_.ClientFor(issuer.spec.acme());
  acme::NewAccountRequest look_up;
  look_up.only_return_existing = true;
  const absl::StatusOr<acme::Account> account =
      co_await client->NewAccount(context, account_key, std::move(look_up));
  if (account.ok()) co_return Registered(issuer, *account, account_key.public_key());
  if (acme::ClassOf(account.status()) == acme::ErrorClass::kReregister) {
    telemetry::LogWarning(
        "the CA does not know the account any more, so it is registered again",
        {{"issuer", issuer.metadata.name()}, {"account", issuer.status.acme().uri()}});
    co_return co_await Register(context, std::move(issuer), std::move(account_key));
  }
  Outcome refused = Refused(issuer, "ErrVerifyACMEAccount",
                            "The account could not be looked up", account.status());
  const acme::ErrorClass error_class = acme::ClassOf(account.status());
  const bool by_ca = acme::ProblemOf(account.status()).has_value() &&
                     (error_class == acme::ErrorClass::kOperator ||
                      error_class == acme::ErrorClass::kPermanent);
  if (by_ca) co_return refused;
  // A CA that cannot be asked now has not taken anything back.
  SetNextVerification(KeyOf(issuer), kVerificationRetry);
  co_return Outcome{issuer.status, After(kVerificationRetry)};
}

runtime::Awaitable<IssuerReconciler::Outcome> IssuerReconciler::UpdateContact(
    runtime::Context context, AnyIssuer issuer, pki::PrivateKey account_key) {
  const std::shared_ptr<acme::AcmeClient> client = accounts_.ClientFor(issuer.spec.acme());
  const std::string& uri = issuer.status.acme().uri();
  acme::LocalJwsSigner signer(account_key, uri);
  const absl::StatusOr<acme::Account> account =
      co_await client->UpdateAccount(context, signer, uri, ContactsOf(issuer.spec.acme()));
  if (account.ok()) co_return Registered(issuer, *account, account_key.public_key());
  if (acme::ClassOf(account.status()) == acme::ErrorClass::kReregister) {
    co_return co_await Register(context, std::move(issuer), std::move(account_key));
  }
  co_return Refused(issuer, "ErrUpdateACMEAccount", "The contact could not be changed",
                    account.status());
}

runtime::Awaitable<absl::StatusOr<acme::Account>> IssuerReconciler::CallCa(
    runtime::Context context, const AnyIssuer& issuer, pki::PrivateKey account_key) {
  const issuer::v1::AcmeIssuer& spec = issuer.spec.acme();
  const std::shared_ptr<acme::AcmeClient> client = accounts_.ClientFor(spec);
  acme::NewAccountRequest request;
  request.contacts = ContactsOf(spec);
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
  base::Reach(base::FaultPoint::kAccountRegistered);
  // An account that the CA knew keeps its contacts until it is told.
  const bool valid = account.status == acme::AccountStatus::kValid;
  if (valid && !account.created && account.contacts != contacts) {
    acme::LocalJwsSigner signer(account_key, account.url);
    CW_CO_ASSIGN_OR_RETURN(
        const acme::Account updated,
        co_await client->UpdateAccount(context, signer, account.url, contacts));
    account.contacts = updated.contacts;
  }
  co_return account;
}

base::MonotonicTime IssuerReconciler::NextVerification(const std::string& issuer_key) {
  base::MutexLock lock(mutex_);
  const auto it = next_verifications_.find(issuer_key);
  if (it != next_verifications_.end()) return it->second;
  const base::MonotonicTime when = environment_.clock().MonotonicNow() +
                                   kVerificationInterval * environment_.random.Uniform();
  next_verifications_.emplace(issuer_key, when);
  return when;
}

void IssuerReconciler::SetNextVerification(const std::string& issuer_key,
                                           absl::Duration delay) {
  base::MutexLock lock(mutex_);
  next_verifications_.insert_or_assign(issuer_key, environment_.clock().MonotonicNow() + delay);
}

runtime::Awaitable<absl::StatusOr<std::string>> IssuerReconciler::WhyNoKeyThere(
    runtime::Context context, const AnyIssuer& issuer) {
  const std::string& name = issuer.spec.acme().private_key_secret_ref().name();
  const std::string secret_namespace =
      accounts_.SecretNamespace(issuer.ref, issuer.metadata.namespace_());
  const std::vector<SecretUser> users =
      secret_users_.Of(store::QueueKey(secret_namespace, name));
  absl::StatusOr<issuer::v1::Secret> secret =
      co_await stores_.secrets.Get(context, secret_namespace, name);
  if (absl::IsNotFound(secret.status())) co_return WhyNoAccountKey(name, nullptr, users);
  if (!secret.ok()) co_return secret.status();
  for (auto& [key, value] : *secret->mutable_data()) base::Wipe(value);
  co_return WhyNoAccountKey(name, &*secret, users);
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
  base::Reach(base::FaultPoint::kAccountKeyStored);
  co_return key;
}

}  // namespace certwright::issuer_service
