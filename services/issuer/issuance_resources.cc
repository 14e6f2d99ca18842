#include "services/issuer/issuance_resources.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/pki/names.h"
#include "lib/service/derived_name.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/given_certificate.h"
#include "services/issuer/issuer_choice.h"
#include "services/issuer/kinds.h"
#include "services/issuer/next_key.h"
#include "services/issuer/rate_limits.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using issuer::v1::Secret;

// What tells the CA that the next certificate takes the present one's place (RFC 9773 §5);
// empty unless it is the same CA, and knows about renewal.
std::string Replaces(const Certificate& certificate, const KeyPairFacts* present,
                     const meta::v1::IssuerRef& next_issuer, absl::Time now) {
  const issuer::v1::RenewalInfo& info = certificate.status().renewal_info();
  const bool known = present != nullptr && WasGiven(certificate, present->fingerprint) &&
                     now < present->not_after && info.has_window_start() &&
                     info.certificate_id() == present->certificate_id;
  if (!known || !SameIssuer(IssuerInUse(certificate), next_issuer)) return "";
  return info.certificate_id();
}

// Whether the next certificate is one more of the same CA for exactly the same names, which CAs
// count for less.
bool IsRenewal(const Certificate& certificate, const KeyPairFacts* present,
               const meta::v1::IssuerRef& next_issuer) {
  if (present == nullptr || !WasGiven(certificate, present->fingerprint)) return false;
  if (!SameIssuer(IssuerInUse(certificate), next_issuer)) return false;
  const auto names = pki::NormalizeNames(CsrSpecOf(certificate.spec()).names);
  return names.ok() && pki::NameSetDifference(*names, present->names).empty();
}

}  // namespace

void SetOwner(const Certificate& certificate, meta::v1::ObjectMeta& metadata) {
  meta::v1::OwnerReference& owner = *metadata.mutable_owner();
  owner.set_kind("Certificate");
  owner.set_namespace_(certificate.metadata().namespace_());
  owner.set_name(certificate.metadata().name());
  owner.set_uid(certificate.metadata().uid());
}

std::string RequestName(const Certificate& certificate, int retry) {
  const meta::v1::ObjectMeta& metadata = certificate.metadata();
  return service::DerivedName(
      absl::StrCat(metadata.name(), "-", certificate.status().revision() + 1),
      {metadata.uid(), metadata.resource_version(), absl::StrCat(retry)});
}

CertificateRequest MakeRequest(const Certificate& certificate, std::string name,
                               std::string csr_pem, const meta::v1::IssuerRef& issuer,
                               const KeyPairFacts* present, absl::Time now) {
  CertificateRequest request;
  meta::v1::ObjectMeta& metadata = *request.mutable_metadata();
  metadata.set_namespace_(certificate.metadata().namespace_());
  metadata.set_name(std::move(name));
  *metadata.mutable_labels() = certificate.metadata().labels();
  (*metadata.mutable_annotations())[kCertificateNameAnnotation] = certificate.metadata().name();
  (*metadata.mutable_annotations())[kCertificateRevisionAnnotation] =
      absl::StrCat(certificate.status().revision() + 1);
  (*metadata.mutable_annotations())[kCertificateGenerationAnnotation] =
      absl::StrCat(certificate.metadata().generation());
  if (IsRenewal(certificate, present, issuer)) {
    (*metadata.mutable_annotations())[kRenewsAnnotation] = present->serial_number;
  }
  SetOwner(certificate, metadata);
  issuer::v1::CertificateRequestSpec& spec = *request.mutable_spec();
  spec.set_request(std::move(csr_pem));
  *spec.mutable_issuer_ref() = issuer;
  *spec.mutable_duration() = certificate.spec().duration();
  *spec.mutable_usages() = certificate.spec().usages();
  spec.set_is_ca(certificate.spec().is_ca());
  spec.set_requester("certwright.io/certificates");
  spec.set_replaces(Replaces(certificate, present, issuer, now));
  return request;
}

Secret MakeNextKeySecret(const Certificate& certificate, const base::Secret& key_pem) {
  Secret secret;
  secret.mutable_metadata()->set_namespace_(certificate.metadata().namespace_());
  secret.mutable_metadata()->set_name(NextKeySecretName(certificate.metadata().name()));
  (*secret.mutable_metadata()->mutable_labels())[kNextPrivateKeyLabel] = "true";
  SetOwner(certificate, *secret.mutable_metadata());
  secret.set_type("Opaque");
  (*secret.mutable_data())[kPrivateKeyKey] = std::string(key_pem.Reveal());
  return secret;
}

void Wipe(Secret& secret) {
  for (auto& [key, value] : *secret.mutable_data()) base::Wipe(value);
}

}  // namespace certwright::issuer_service
