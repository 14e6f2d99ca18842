#include "services/issuer/secret_ownership.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/service/conditions.h"
#include "lib/store/resource_key.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::Secret;

// cert-manager's word where two Certificates name one Secret; it has none for what no
// Certificate has written.
constexpr char kOthersCertificate[] = "IncorrectCertificate";
constexpr char kNotOwned[] = "SecretNotOwned";

std::string Annotation(const Secret& secret, const char* key) {
  const auto it = secret.metadata().annotations().find(key);
  return it == secret.metadata().annotations().end() ? "" : it->second;
}

std::string KeyOf(const meta::v1::ObjectMeta& metadata) {
  return store::QueueKey(metadata.namespace_(), metadata.name());
}

absl::string_view NameIn(absl::string_view key) { return key.substr(key.find('/') + 1); }

// What the Secret is to `user`, as the end of "The Secret x ...".
std::string Describe(const SecretUser& user) {
  switch (user.use) {
    case SecretUse::kTarget:
      return absl::StrCat("is written by the Certificate ", NameIn(user.key));
    case SecretUse::kNextKey:
      return absl::StrCat("is where the next key of the Certificate ", NameIn(user.key),
                          " waits");
    case SecretUse::kPassword:
      return absl::StrCat("is where the Certificate ", NameIn(user.key),
                          " has the password of a key store");
    case SecretUse::kCaKeyPair:
      return absl::StrCat("holds the key pair of the CA of ", user.key);
    case SecretUse::kAccountKey:
      return absl::StrCat("is where ", user.key, " keeps its account key");
    case SecretUse::kExternalAccountKey:
      return absl::StrCat("is where ", user.key, " has the key of its external account");
    case SecretUse::kVaultCredential:
      return absl::StrCat("is where ", user.key, " has its credentials for Vault");
    case SecretUse::kSolverCredential:
      return absl::StrCat("is where ", user.key, " has the credentials of a solver");
  }
  return "";
}

// Another Certificate that names the Secret and has written it or, where there is none yet,
// named it first; null if there is none.
const SecretUser* FindRival(const Certificate& certificate, const Secret* secret,
                            const std::vector<SecretUser>& users) {
  const std::string self = KeyOf(certificate.metadata());
  const std::string writer =
      secret == nullptr ? ""
                        : store::QueueKey(certificate.metadata().namespace_(),
                                          Annotation(*secret, kCertificateNameAnnotation));
  const absl::Time created = service::FromProto(certificate.metadata().create_time());
  const SecretUser* first = nullptr;
  for (const SecretUser& user : users) {
    if (user.use != SecretUse::kTarget || user.key == self) continue;
    if (user.key == writer) return &user;
    if (secret != nullptr) continue;
    const bool earlier = std::pair(user.since, user.key) < std::pair(created, self);
    if (!earlier) continue;
    if (first == nullptr || user.since < first->since) first = &user;
  }
  return first;
}

}  // namespace

bool IsMeantFor(const Certificate& certificate, const Secret& secret) {
  const std::string& name = certificate.metadata().name();
  return Annotation(secret, kCertificateNameAnnotation) == name ||
         Annotation(secret, kAllowCertificateAnnotation) == name;
}

std::optional<Finding> WhyNotWrite(const Certificate& certificate, const Secret* secret,
                                   const std::vector<SecretUser>& users) {
  const std::string name = absl::StrCat("The Secret ", certificate.spec().secret_name());
  const std::string writer =
      secret == nullptr ? "" : Annotation(*secret, kCertificateNameAnnotation);
  if (writer == certificate.metadata().name()) return std::nullopt;
  for (const SecretUser& user : users) {
    if (user.use == SecretUse::kTarget) continue;
    // A CA may be issued after the issuer that is to sign with it was created.
    if (user.use == SecretUse::kCaKeyPair && secret == nullptr) continue;
    return Finding{kNotOwned, absl::StrCat(name, " ", Describe(user),
                                           ", so it is left alone: choose another "
                                           "spec.secretName.")};
  }
  const SecretUser* rival = FindRival(certificate, secret, users);
  if (rival != nullptr) {
    return Finding{kOthersCertificate,
                   absl::StrCat(name, " belongs to the Certificate ", NameIn(rival->key),
                                ", which names it too: give each its own spec.secretName.")};
  }
  if (secret == nullptr || IsMeantFor(certificate, *secret)) return std::nullopt;
  return Finding{
      kNotOwned,
      absl::StrCat(name,
                   writer.empty() ? " was not made for a Certificate"
                                  : absl::StrCat(" was made for the Certificate ", writer),
                   ", so it is left alone: choose another spec.secretName, delete it, or give "
                   "it the annotation ",
                   kAllowCertificateAnnotation, " with the Certificate's name.")};
}

std::string WhyNoAccountKey(const std::string& secret_name, const Secret* secret,
                            const std::vector<SecretUser>& users) {
  std::string why;
  const std::string writer =
      secret == nullptr ? "" : Annotation(*secret, kCertificateNameAnnotation);
  const auto next_key = std::ranges::find(users, SecretUse::kNextKey, &SecretUser::use);
  if (next_key != users.end()) {
    why = Describe(*next_key);
  } else if (secret != nullptr && secret->metadata().labels().contains(kNextPrivateKeyLabel)) {
    why = "is where the next key of a Certificate waits";
  } else if (!writer.empty()) {
    why = absl::StrCat("is written by the Certificate ", writer);
  }
  if (why.empty()) return why;
  return absl::StrCat("The Secret ", secret_name, " ", why,
                      ", so it keeps no account key: choose another "
                      "spec.acme.privateKeySecretRef.");
}

}  // namespace certwright::issuer_service
