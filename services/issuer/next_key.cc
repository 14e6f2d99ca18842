#include "services/issuer/next_key.h"

#include "lib/service/derived_name.h"
#include "services/issuer/certificate_validation.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::Secret;

// Whether it was written for this Certificate, or its admin says that it is meant for it.
bool IsMadeFor(const Certificate& certificate, const Secret& secret) {
  const auto& annotations = secret.metadata().annotations();
  const auto made_for = annotations.find(kCertificateNameAnnotation);
  return made_for != annotations.end() && made_for->second == certificate.metadata().name();
}

}  // namespace

runtime::Awaitable<absl::StatusOr<pki::PrivateKey>> ChooseNextKey(
    runtime::Context context, NewKeys& new_keys, const Certificate& certificate,
    const std::optional<Secret>& secret, bool compromised) {
  const issuer::v1::CertificateSpec& spec = certificate.spec();
  const bool keeps =
      spec.private_key().rotation_policy() == issuer::v1::ROTATION_POLICY_NEVER && !compromised;
  if (keeps && secret.has_value() && IsMadeFor(certificate, *secret) &&
      secret->data().contains(kPrivateKeyKey)) {
    auto present = pki::PrivateKey::ParsePem(secret->data().at(kPrivateKeyKey));
    if (present.ok() && present->spec() == KeySpecOf(spec)) co_return present;
  }
  co_return co_await new_keys.Make(context, KeySpecOf(spec));
}

std::string NextKeySecretName(const std::string& certificate) {
  return service::SuffixedName(certificate, "next-key");
}

runtime::Awaitable<absl::StatusOr<bool>> HasRoomForNextKey(runtime::Context context,
                                                           Stores& stores,
                                                           const Certificate& certificate) {
  const auto left =
      co_await stores.secrets.Get(context, certificate.metadata().namespace_(),
                                  NextKeySecretName(certificate.metadata().name()));
  if (absl::IsNotFound(left.status())) co_return true;
  if (!left.ok()) co_return left.status();
  co_return left->metadata().labels().contains(kNextPrivateKeyLabel);
}

}  // namespace certwright::issuer_service
