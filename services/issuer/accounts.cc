#include "services/issuer/accounts.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/acme/problem.h"
#include "lib/base/status_macros.h"
#include "lib/pki/jose.h"
#include "lib/rpc/status.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"

namespace certwright::issuer_service {
namespace {

constexpr char kNextKeyPrefix[] = "next-";

template <typename Resource>
Resource ToResource(const AnyIssuer& issuer) {
  Resource resource;
  *resource.mutable_metadata() = issuer.metadata;
  *resource.mutable_spec() = issuer.spec;
  *resource.mutable_status() = issuer.status;
  return resource;
}

template <typename Resource>
absl::StatusOr<std::optional<store::Mutation>> StatusMutationIn(
    const store::ResourceStore<Resource>& resources, const AnyIssuer& issuer,
    issuer::v1::IssuerStatus status) {
  const Resource current = ToResource<Resource>(issuer);
  Resource changed = current;
  *changed.mutable_status() = std::move(status);
  return resources.StatusMutation(current, changed);
}

std::string WhyNotReady(const AnyIssuer& issuer) {
  const auto* ready = service::FindCondition(issuer.status.conditions(), "Ready");
  const bool known = ready != nullptr && ready->status() == meta::v1::CONDITION_STATUS_FALSE &&
                     !ready->message().empty();
  return known ? absl::StrCat(" is not ready: ", ready->message()) : " is not registered yet";
}

}  // namespace

bool IsReady(const AnyIssuer& issuer) {
  const auto* ready = service::FindCondition(issuer.status.conditions(), "Ready");
  return ready != nullptr && ready->status() == meta::v1::CONDITION_STATUS_TRUE &&
         ready->observed_generation() == issuer.metadata.generation();
}

bool IsRegisteredWith(const AnyIssuer& issuer, const pki::PublicKey& key) {
  const issuer::v1::AcmeIssuerStatus& status = issuer.status.acme();
  return !status.uri().empty() && status.server() == issuer.spec.acme().server() &&
         status.account_key_thumbprint() == pki::JwkThumbprint(key);
}

bool IsDeactivated(const AnyIssuer& issuer, const pki::PublicKey& key) {
  return issuer.status.acme().has_deactivated_time() && IsRegisteredWith(issuer, key);
}

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

meta::v1::SecretKeyRef NextKeyRef(const meta::v1::SecretKeyRef& key) {
  meta::v1::SecretKeyRef next = key;
  next.set_key(absl::StrCat(kNextKeyPrefix, key.key()));
  return next;
}

absl::Status CaError(absl::string_view what, const absl::Status& error) {
  const std::string message = absl::StrCat(what, ": ", error.message());
  switch (error.code()) {
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
      return absl::Status(error.code(), message);
    default:
      return rpc::FailedPrecondition("CA_REFUSED", message);
  }
}

std::string Accounts::SecretNamespace(const meta::v1::IssuerRef& ref,
                                      absl::string_view issuer_namespace) const {
  return service::IsCluster(ref) ? cluster_resource_namespace_ : std::string(issuer_namespace);
}

runtime::Awaitable<absl::StatusOr<AnyIssuer>> Accounts::FindIssuer(
    runtime::Context context, meta::v1::IssuerRef ref, std::string resource_namespace) {
  absl::Status missing;
  if (service::IsCluster(ref)) {
    auto found = co_await stores_.cluster_issuers.Get(context, "", ref.name());
    if (found.ok()) co_return ToAnyIssuer(*found, meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
    missing = found.status();
  } else {
    auto found = co_await stores_.issuers.Get(context, resource_namespace, ref.name());
    if (found.ok()) co_return ToAnyIssuer(*found, meta::v1::ISSUER_KIND_ISSUER);
    missing = found.status();
  }
  if (!absl::IsNotFound(missing)) co_return missing;
  co_return rpc::NotFound(service::IssuerKindName(ref),
                          service::IsCluster(ref) ? "" : resource_namespace, ref.name());
}

runtime::Awaitable<absl::StatusOr<base::Secret>> Accounts::ReadSecret(
    runtime::Context context, std::string secret_namespace, meta::v1::SecretKeyRef ref) {
  absl::StatusOr<issuer::v1::Secret> secret =
      co_await stores_.secrets.Get(context, secret_namespace, ref.name());
  if (absl::IsNotFound(secret.status())) {
    co_return rpc::NotFound("Secret", secret_namespace, ref.name());
  }
  if (!secret.ok()) co_return secret.status();
  auto value = secret->mutable_data()->find(ref.key());
  if (value == secret->mutable_data()->end()) {
    co_return absl::NotFoundError(absl::StrCat("Secret ", secret_namespace, "/", ref.name(),
                                               " has no value ", ref.key()));
  }
  base::Secret result(std::move(value->second));
  for (auto& [key, other] : *secret->mutable_data()) base::Wipe(other);
  co_return result;
}

runtime::Awaitable<absl::Status> Accounts::WriteStatus(runtime::Context context,
                                                       AnyIssuer issuer,
                                                       issuer::v1::IssuerStatus status) {
  issuer.status = std::move(status);
  if (service::IsCluster(issuer.ref)) {
    const auto written = co_await stores_.cluster_issuers.UpdateStatus(
        context, ToResource<issuer::v1::ClusterIssuer>(issuer));
    co_return written.status();
  }
  const auto written =
      co_await stores_.issuers.UpdateStatus(context, ToResource<issuer::v1::Issuer>(issuer));
  co_return written.status();
}

absl::StatusOr<std::optional<store::Mutation>> Accounts::StatusMutation(
    const AnyIssuer& issuer, issuer::v1::IssuerStatus status) const {
  return service::IsCluster(issuer.ref)
             ? StatusMutationIn(stores_.cluster_issuers, issuer, std::move(status))
             : StatusMutationIn(stores_.issuers, issuer, std::move(status));
}

runtime::Awaitable<absl::StatusOr<std::shared_ptr<const SigningAccount>>> Accounts::Find(
    runtime::Context context, meta::v1::IssuerRef ref, std::string resource_namespace) {
  const std::string key = service::IssuerKey(ref, resource_namespace);
  int64_t generation = 0;
  {
    base::MutexLock lock(mutex_);
    auto it = accounts_.find(key);
    if (it != accounts_.end()) co_return it->second;
    generation = generation_;
  }
  CW_CO_ASSIGN_OR_RETURN(auto account, co_await Load(context, ref, resource_namespace));
  base::MutexLock lock(mutex_);
  if (generation == generation_) accounts_[key] = account;
  co_return account;
}

runtime::Awaitable<absl::StatusOr<std::shared_ptr<const SigningAccount>>> Accounts::Load(
    runtime::Context context, meta::v1::IssuerRef ref, std::string resource_namespace) {
  CW_CO_ASSIGN_OR_RETURN(const AnyIssuer issuer,
                         co_await FindIssuer(context, ref, resource_namespace));
  if (!issuer.spec.has_acme()) {
    co_return rpc::FailedPrecondition(
        "NOT_ACME",
        absl::StrCat(service::IssuerKey(ref, resource_namespace), " is not an ACME issuer"));
  }
  if (!IsReady(issuer) || issuer.status.acme().uri().empty()) {
    co_return rpc::FailedPrecondition(
        "ISSUER_NOT_READY",
        absl::StrCat(service::IssuerKey(ref, resource_namespace), WhyNotReady(issuer)));
  }
  const std::string secret_namespace = SecretNamespace(ref, issuer.metadata.namespace_());
  const meta::v1::SecretKeyRef& key_ref = issuer.spec.acme().private_key_secret_ref();
  // Looked for first: what takes the place of the present key is never missed.
  const auto next = co_await ReadSecret(context, secret_namespace, NextKeyRef(key_ref));
  if (next.ok() && pki::PrivateKey::ParsePem(next->Reveal()).ok()) {
    co_return absl::UnavailableError(absl::StrCat("the account key of ",
                                                  service::IssuerKey(ref, resource_namespace),
                                                  " is being changed; try again in a moment"));
  }
  CW_CO_ASSIGN_OR_RETURN(const base::Secret pem,
                         co_await ReadSecret(context, secret_namespace, key_ref));
  CW_CO_ASSIGN_OR_RETURN(const pki::PrivateKey key, pki::PrivateKey::ParsePem(pem.Reveal()));
  auto account = std::make_shared<SigningAccount>(
      SigningAccount{issuer.status.acme().uri(), key.public_key(),
                     std::make_shared<acme::LocalJwsSigner>(key, issuer.status.acme().uri()),
                     ClientFor(issuer.spec.acme())});
  co_return std::shared_ptr<const SigningAccount>(std::move(account));
}

void Accounts::Forget(const std::string& issuer_key) {
  base::MutexLock lock(mutex_);
  ++generation_;
  accounts_.erase(issuer_key);
}

void Accounts::ForgetAll() {
  base::MutexLock lock(mutex_);
  ++generation_;
  accounts_.clear();
}

void Accounts::Doubt(const std::string& issuer_key) {
  base::MutexLock lock(mutex_);
  doubts_.insert(issuer_key);
}

bool Accounts::TakeDoubt(const std::string& issuer_key) {
  base::MutexLock lock(mutex_);
  return doubts_.erase(issuer_key) > 0;
}

bool Accounts::ClaimKey(const std::string& secret) {
  base::MutexLock lock(mutex_);
  return claimed_keys_.insert(secret).second;
}

void Accounts::ReleaseKey(const std::string& secret) {
  base::MutexLock lock(mutex_);
  claimed_keys_.erase(secret);
}

}  // namespace certwright::issuer_service
