#include "services/issuer/accounts.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/status.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"

namespace certwright::issuer_service {

bool IsReady(const AnyIssuer& issuer) {
  const auto* ready = service::FindCondition(issuer.status.conditions(), "Ready");
  return ready != nullptr && ready->status() == meta::v1::CONDITION_STATUS_TRUE &&
         ready->observed_generation() == issuer.metadata.generation();
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
        absl::StrCat(service::IssuerKey(ref, resource_namespace), " is not registered yet"));
  }
  CW_CO_ASSIGN_OR_RETURN(
      const base::Secret pem,
      co_await ReadSecret(context, SecretNamespace(ref, issuer.metadata.namespace_()),
                          issuer.spec.acme().private_key_secret_ref()));
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

}  // namespace certwright::issuer_service
