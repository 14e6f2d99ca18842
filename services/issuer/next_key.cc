#include "services/issuer/next_key.h"

#include "absl/strings/str_cat.h"
#include "lib/store/resource_key.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/secret_ownership.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::Secret;

}  // namespace

runtime::Awaitable<absl::StatusOr<pki::PrivateKey>> ChooseNextKey(
    runtime::Context context, NewKeys& new_keys, const Certificate& certificate,
    const std::optional<Secret>& secret, bool compromised) {
  const issuer::v1::CertificateSpec& spec = certificate.spec();
  const bool keeps =
      spec.private_key().rotation_policy() == issuer::v1::ROTATION_POLICY_NEVER && !compromised;
  if (keeps && secret.has_value() && IsMeantFor(certificate, *secret) &&
      secret->data().contains(kPrivateKeyKey)) {
    auto present = pki::PrivateKey::ParsePem(secret->data().at(kPrivateKeyKey));
    if (present.ok() && present->spec() == KeySpecOf(spec)) co_return present;
  }
  co_return co_await new_keys.Make(context, KeySpecOf(spec));
}

bool IsNextKey(const Secret& secret) {
  return secret.metadata().labels().contains(kNextPrivateKeyLabel);
}

runtime::Awaitable<absl::StatusOr<int64_t>> FindPlaceForNextKey(
    runtime::Context context, Stores& stores, const Certificate& certificate) {
  const std::string name = NextKeySecretName(certificate.metadata().name());
  const auto left =
      co_await stores.secrets.Get(context, certificate.metadata().namespace_(), name);
  if (absl::IsNotFound(left.status())) co_return int64_t{0};
  if (!left.ok()) co_return left.status();
  if (IsNextKey(*left)) {
    co_return store::ParseResourceVersion(left->metadata().resource_version());
  }
  co_return absl::FailedPreconditionError(
      absl::StrCat("The next key would wait in the Secret ", name,
                   ", which was not made for it, so it is left alone: delete it, or name the "
                   "Certificate otherwise."));
}

}  // namespace certwright::issuer_service
