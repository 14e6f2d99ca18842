#include "services/issuer/secret_users.h"

#include <algorithm>

#include "lib/service/conditions.h"
#include "lib/store/resource_key.h"
#include "services/issuer/issuer_validation.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

// The uses of one user.
class Collector {
 public:
  Collector(std::string secret_namespace, std::string user,
            const meta::v1::ObjectMeta& metadata)
      : secret_namespace_(std::move(secret_namespace)),
        user_(std::move(user)),
        since_(service::FromProto(metadata.create_time())) {}

  void Add(SecretUse use, const std::string& secret) {
    if (secret.empty()) return;
    const std::pair entry(store::QueueKey(secret_namespace_, secret),
                          SecretUser{use, user_, since_});
    if (std::ranges::find(uses_, entry) == uses_.end()) uses_.push_back(entry);
  }
  SecretUses Take() { return std::move(uses_); }

 private:
  const std::string secret_namespace_;
  const std::string user_;
  const absl::Time since_;
  SecretUses uses_;
};

}  // namespace

SecretUses UsesOf(const issuer::v1::Certificate& certificate) {
  const meta::v1::ObjectMeta& metadata = certificate.metadata();
  const issuer::v1::Keystores& keystores = certificate.spec().keystores();
  Collector uses(metadata.namespace_(), store::QueueKey(metadata.namespace_(), metadata.name()),
                 metadata);
  uses.Add(SecretUse::kTarget, certificate.spec().secret_name());
  uses.Add(SecretUse::kNextKey, NextKeySecretName(metadata.name()));
  uses.Add(SecretUse::kPassword, keystores.pkcs12().password_secret_ref().name());
  uses.Add(SecretUse::kPassword, keystores.jks().password_secret_ref().name());
  return uses.Take();
}

SecretUses UsesOf(const std::string& issuer_key, const std::string& secret_namespace,
                  const meta::v1::ObjectMeta& metadata, const issuer::v1::IssuerSpec& spec) {
  Collector uses(secret_namespace, issuer_key, metadata);
  const issuer::v1::AcmeIssuer& acme = spec.acme();
  uses.Add(SecretUse::kCaKeyPair, spec.ca().secret_name());
  uses.Add(SecretUse::kAccountKey, acme.private_key_secret_ref().name());
  uses.Add(SecretUse::kExternalAccountKey,
           acme.external_account_binding().key_secret_ref().name());
  uses.Add(SecretUse::kVaultCredential, spec.vault().token_secret_ref().name());
  uses.Add(SecretUse::kVaultCredential, spec.vault().app_role().secret_ref().name());
  for (const issuer::v1::AcmeSolver& solver : acme.solvers()) {
    for (const meta::v1::SecretKeyRef& ref : SecretRefsOf(solver)) {
      uses.Add(SecretUse::kSolverCredential, ref.name());
    }
  }
  return uses.Take();
}

SecretUses SecretUsers::Replace(const SecretUses& before, const SecretUses& now) {
  SecretUses over;
  if (before == now) return over;
  base::MutexLock lock(mutex_);
  for (const auto& use : before) {
    if (std::ranges::find(now, use) != now.end()) continue;
    over.push_back(use);
    const auto users = users_.find(use.first);
    if (users == users_.end()) continue;
    users->second.erase(use.second);
    if (users->second.empty()) users_.erase(users);
  }
  for (const auto& [secret, user] : now) users_[secret].insert(user);
  return over;
}

std::vector<SecretUser> SecretUsers::Of(const std::string& secret_key) const {
  base::MutexLock lock(mutex_);
  const auto users = users_.find(secret_key);
  if (users == users_.end()) return {};
  return {users->second.begin(), users->second.end()};
}

}  // namespace certwright::issuer_service
