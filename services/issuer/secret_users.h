// SecretUsers: who needs which Secret, and what for, so that its change wakes them and no
// Certificate takes it from them.
//
// Threading: safe from any thread.
#pragma once

#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "lib/base/mutex.h"

namespace certwright::issuer_service {

enum class SecretUse {
  // By a Certificate: what it writes, where its next key waits, and the password of one of its
  // key stores.
  kTarget,
  kNextKey,
  kPassword,
  // By an issuer itself.
  kCaKeyPair,
  kAccountKey,
  kExternalAccountKey,
  kVaultCredential,
  // By a solver of an issuer.
  kSolverCredential,
};

struct SecretUser {
  SecretUse use = SecretUse::kTarget;
  // "<namespace>/<name>" of a Certificate, service::IssuerKey() of an issuer.
  std::string key;
  // When the user was created.
  absl::Time since;

  friend bool operator==(const SecretUser&, const SecretUser&) = default;
  friend bool operator<(const SecretUser& a, const SecretUser& b) {
    return std::tie(a.use, a.key, a.since) < std::tie(b.use, b.key, b.since);
  }
};

// Keys of Secrets, "<namespace>/<name>", and how somebody uses each.
using SecretUses = std::vector<std::pair<std::string, SecretUser>>;

SecretUses UsesOf(const issuer::v1::Certificate& certificate);

// Of an issuer of either kind; `issuer_key` is its service::IssuerKey(), and its Secrets are in
// `secret_namespace`.
SecretUses UsesOf(const std::string& issuer_key, const std::string& secret_namespace,
                  const meta::v1::ObjectMeta& metadata, const issuer::v1::IssuerSpec& spec);

class SecretUsers {
 public:
  // Somebody had the uses `before`, and has those of `now`. The uses that are over.
  SecretUses Replace(const SecretUses& before, const SecretUses& now);

  // Of the Secret "<namespace>/<name>".
  std::vector<SecretUser> Of(const std::string& secret_key) const;

 private:
  mutable base::Mutex mutex_;
  std::unordered_map<std::string, std::set<SecretUser>> users_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
