#include "services/issuer/kept_key_pair.h"

#include "lib/service/issuer_ref.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/issuance_resources.h"

namespace certwright::issuer_service {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using issuer::v1::Secret;

Secret MakeKeptKeyPair(const Certificate& certificate, const CertificateRequest& request,
                       const Secret& next_key) {
  Secret kept;
  meta::v1::ObjectMeta& metadata = *kept.mutable_metadata();
  metadata.set_namespace_(certificate.metadata().namespace_());
  metadata.set_name(certificate.metadata().name());
  SetOwner(certificate, metadata);
  auto& annotations = *metadata.mutable_annotations();
  annotations[kCertificateNameAnnotation] = certificate.metadata().name();
  annotations[kIssuerNameAnnotation] = request.spec().issuer_ref().name();
  annotations[kIssuerKindAnnotation] = service::IssuerKindName(request.spec().issuer_ref());
  annotations[kRequestDigestAnnotation] = RequestDigest(certificate.spec());
  kept.set_type(kTlsSecretType);
  auto& data = *kept.mutable_data();
  data[kCertificateKey] = request.status().certificate();
  const auto key = next_key.data().find(kPrivateKeyKey);
  data[kPrivateKeyKey] = key == next_key.data().end() ? "" : key->second;
  data[kCaKey] = request.status().ca();
  return kept;
}

void Fill(const Certificate& certificate, const Secret& kept, Secret& secret) {
  meta::v1::ObjectMeta& metadata = *secret.mutable_metadata();
  metadata.set_namespace_(certificate.metadata().namespace_());
  metadata.set_name(certificate.spec().secret_name());
  auto& annotations = *metadata.mutable_annotations();
  for (const auto& [key, value] : kept.metadata().annotations()) annotations[key] = value;
  annotations.erase(kTemporaryAnnotation);
  secret.set_type(kept.type());
  for (const auto& [key, value] : kept.data()) (*secret.mutable_data())[key] = value;
}

runtime::Awaitable<absl::StatusOr<std::optional<Secret>>> ReadKeptKeyPair(
    runtime::Context context, Stores& stores, const Certificate& certificate) {
  absl::StatusOr<Secret> kept = co_await stores.kept_key_pairs.Get(
      context, certificate.metadata().namespace_(), certificate.metadata().name());
  if (absl::IsNotFound(kept.status())) co_return std::nullopt;
  if (!kept.ok()) co_return kept.status();
  if (kept->metadata().owner().uid() != certificate.metadata().uid()) {
    Wipe(*kept);
    co_return std::nullopt;
  }
  co_return *std::move(kept);
}

}  // namespace certwright::issuer_service
