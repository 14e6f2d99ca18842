#include "services/issuer/temporary_certificate.h"

#include <string>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/pki/names.h"
#include "lib/pki/sign.h"
#include "lib/service/conditions.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

using issuer::v1::Certificate;
using issuer::v1::Secret;

bool WantsTemporaryCertificate(const Certificate& certificate) {
  const auto& annotations = certificate.metadata().annotations();
  const auto wanted = annotations.find(kIssueTemporaryAnnotation);
  return wanted != annotations.end() && wanted->second == "true";
}

absl::StatusOr<Secret> MakeTemporarySecret(const Certificate& certificate,
                                           const pki::PrivateKey& key,
                                           const base::Secret& key_pem, absl::Time now) {
  const pki::CsrSpec wanted = CsrSpecOf(certificate.spec());
  pki::CertificateTemplate values;
  CW_ASSIGN_OR_RETURN(values.subject_der, pki::SubjectDerOf(wanted));
  CW_ASSIGN_OR_RETURN(values.names, pki::NormalizeNames(wanted.names));
  values.usages = wanted.usages;
  values.not_before = now;
  values.not_after = now + service::FromProto(certificate.spec().duration());
  CW_ASSIGN_OR_RETURN(const pki::Certificate temporary, pki::SelfSign(key, std::move(values)));

  Secret secret;
  meta::v1::ObjectMeta& metadata = *secret.mutable_metadata();
  metadata.set_namespace_(certificate.metadata().namespace_());
  metadata.set_name(certificate.spec().secret_name());
  (*metadata.mutable_annotations())[kCertificateNameAnnotation] = certificate.metadata().name();
  (*metadata.mutable_annotations())[kTemporaryAnnotation] = "true";
  secret.set_type(kTlsSecretType);
  (*secret.mutable_data())[kCertificateKey] = temporary.Pem();
  (*secret.mutable_data())[kPrivateKeyKey] = std::string(key_pem.Reveal());
  return secret;
}

}  // namespace certwright::issuer_service
