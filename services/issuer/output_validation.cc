#include "services/issuer/output_validation.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateSpec;
using rpc::Indexed;
using rpc::Violations;

constexpr int kMaxLabels = 64;
constexpr std::size_t kMaxAnnotationBytes = 64 << 10;
constexpr std::size_t kMaxAlias = 255;

void ValidateFormats(const CertificateSpec& spec, Violations& violations) {
  std::set<int> seen;
  for (int i = 0; i < spec.additional_output_formats_size(); ++i) {
    const issuer::v1::OutputFormat format = spec.additional_output_formats(i);
    const std::string field = Indexed("spec.additionalOutputFormats", i);
    violations.Require(format == issuer::v1::OUTPUT_FORMAT_DER ||
                           format == issuer::v1::OUTPUT_FORMAT_COMBINED_PEM,
                       field, "is not known");
    if (!seen.insert(format).second) return violations.Add(field, "must be there once");
  }
}

void ValidatePasswordRef(meta::v1::SecretKeyRef& ref, const std::string& field,
                         Violations& violations) {
  if (ref.key().empty()) ref.set_key("password");
  rpc::CheckName(ref.name(), field + ".name", violations);
}

void ValidateKeystores(issuer::v1::Keystores& keystores, Violations& violations) {
  if (keystores.has_pkcs12()) {
    issuer::v1::Pkcs12Keystore& pkcs12 = *keystores.mutable_pkcs12();
    if (pkcs12.profile() == issuer::v1::PKCS12_PROFILE_UNSPECIFIED) {
      pkcs12.set_profile(issuer::v1::PKCS12_PROFILE_MODERN);
    }
    violations.Require(pkcs12.profile() == issuer::v1::PKCS12_PROFILE_MODERN ||
                           pkcs12.profile() == issuer::v1::PKCS12_PROFILE_LEGACY,
                       "spec.keystores.pkcs12.profile", "is not known");
    if (pkcs12.has_password_secret_ref()) {
      ValidatePasswordRef(*pkcs12.mutable_password_secret_ref(),
                          "spec.keystores.pkcs12.passwordSecretRef", violations);
    }
  }
  if (!keystores.has_jks()) return;
  issuer::v1::JksKeystore& jks = *keystores.mutable_jks();
  if (jks.alias().empty()) jks.set_alias("certificate");
  violations.Require(
      jks.alias().size() <= kMaxAlias &&
          std::ranges::all_of(
              jks.alias(),
              [](char c) { return absl::ascii_isprint(static_cast<unsigned char>(c)); }),
      "spec.keystores.jks.alias", "must be at most 255 printable ASCII characters");
  if (jks.create() || jks.has_password_secret_ref()) {
    ValidatePasswordRef(*jks.mutable_password_secret_ref(),
                        "spec.keystores.jks.passwordSecretRef", violations);
  }
}

// Keys that say something to Certwright or to Kubernetes itself. Domains below
// kubernetes.io, such as app.kubernetes.io, are for everybody's labels.
bool IsReserved(absl::string_view key) {
  const absl::string_view domain = key.substr(0, key.find('/'));
  if (domain.size() == key.size()) return false;
  for (absl::string_view owner : {"certwright.io", "cert-manager.io"}) {
    if (domain == owner ||
        (absl::EndsWith(domain, owner) && domain[domain.size() - owner.size() - 1] == '.')) {
      return true;
    }
  }
  return domain == "kubernetes.io" || domain == "k8s.io";
}

void ValidateTemplate(const issuer::v1::SecretTemplate& secret, Violations& violations) {
  const std::string labels = "spec.secretTemplate.labels";
  violations.Require(secret.labels_size() <= kMaxLabels, labels, "must be at most 64");
  for (const auto& [key, value] : secret.labels()) {
    violations.Require(rpc::IsLabelKey(key) && rpc::IsLabelValue(value), labels,
                       "must have keys and values of letters, digits, \"-\", \"_\" and \".\", "
                       "at most 63 characters each");
    violations.Require(!IsReserved(key), labels,
                       "must have no keys under certwright.io/, cert-manager.io/, "
                       "kubernetes.io/ and k8s.io/");
  }
  const std::string annotations = "spec.secretTemplate.annotations";
  std::size_t bytes = 0;
  for (const auto& [key, value] : secret.annotations()) {
    bytes += key.size() + value.size();
    violations.Require(rpc::IsLabelKey(key), annotations,
                       "must have keys like those of labels");
    violations.Require(!IsReserved(key), annotations,
                       "must have no keys under certwright.io/, cert-manager.io/, "
                       "kubernetes.io/ and k8s.io/");
  }
  violations.Require(bytes <= kMaxAnnotationBytes, annotations,
                     "must be at most 64 KiB together");
}

}  // namespace

void ValidateOutputs(CertificateSpec& spec, Violations& violations) {
  ValidateFormats(spec, violations);
  if (spec.has_keystores()) ValidateKeystores(*spec.mutable_keystores(), violations);
  if (spec.has_secret_template()) ValidateTemplate(spec.secret_template(), violations);
}

}  // namespace certwright::issuer_service
