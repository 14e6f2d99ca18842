#include "services/issuer/certificate_validation.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/pki/names.h"
#include "lib/pki/usages.h"
#include "lib/service/metadata.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateSpec;
using rpc::Indexed;
using rpc::Violations;

constexpr int kMaxNames = 100;
constexpr std::size_t kMaxCommonName = 64;
constexpr std::size_t kMaxSubjectParts = 20;
constexpr int64_t kMinDuration = 3600;
constexpr int64_t kDefaultDuration = 90 * 24 * 3600;
constexpr int64_t kMinRenewBefore = 300;
constexpr std::size_t kMaxSecretBytes = 1 << 20;

// Brings each name into its one spelling; names that then are equal are one.
template <typename Names, typename Normalize>
void NormalizeAll(Names& names, const char* field, Normalize normalize,
                  Violations& violations) {
  std::vector<std::string> kept;
  std::set<std::string> seen;
  for (int i = 0; i < names.size(); ++i) {
    const absl::StatusOr<std::string> name = normalize(names[i]);
    if (!name.ok()) {
      violations.Add(Indexed(field, i), name.status().message());
    } else if (seen.insert(*name).second) {
      kept.push_back(*name);
    }
  }
  names.Assign(kept.begin(), kept.end());
}

void ValidateNames(CertificateSpec& spec, Violations& violations) {
  const int given = spec.dns_names_size() + spec.ip_addresses_size() + spec.uris_size() +
                    spec.email_addresses_size() + spec.other_names_size();
  violations.Require(given > 0 || !spec.common_name().empty(), "spec.dnsNames",
                     "at least one name is required here or in another field of names");
  violations.Require(given <= kMaxNames, "spec.dnsNames", "must be at most 100 names in all");
  NormalizeAll(*spec.mutable_dns_names(), "spec.dnsNames", pki::NormalizeDnsName, violations);
  NormalizeAll(*spec.mutable_ip_addresses(), "spec.ipAddresses", pki::NormalizeIpAddress,
               violations);
  NormalizeAll(*spec.mutable_uris(), "spec.uris", pki::NormalizeUri, violations);
  NormalizeAll(*spec.mutable_email_addresses(), "spec.emailAddresses", pki::NormalizeEmail,
               violations);
  if (spec.common_name().empty()) return;
  // ACME CAs take the common name for one of the names, so it must be among them.
  if (const auto address = pki::NormalizeIpAddress(spec.common_name()); address.ok()) {
    spec.set_common_name(*address);
    if (std::ranges::find(spec.ip_addresses(), *address) == spec.ip_addresses().end()) {
      spec.add_ip_addresses(*address);
    }
  } else if (const auto name = pki::NormalizeDnsName(spec.common_name()); name.ok()) {
    spec.set_common_name(*name);
    if (std::ranges::find(spec.dns_names(), *name) == spec.dns_names().end()) {
      spec.add_dns_names(*name);
    }
  } else {
    return violations.Add("spec.commonName", "must be a DNS name or an IP address");
  }
  // The length that counts is that of the A-labels.
  violations.Require(spec.common_name().size() <= kMaxCommonName, "spec.commonName",
                     "must be at most 64 characters");
}

void ValidateSubject(const CertificateSpec& spec, Violations& violations) {
  pki::Subject subject = CsrSpecOf(spec).subject;
  // It has rules of its own.
  subject.common_name.clear();
  const std::size_t parts = subject.organizations.size() + subject.countries.size() +
                            subject.organizational_units.size() + subject.localities.size() +
                            subject.provinces.size() + subject.street_addresses.size() +
                            subject.postal_codes.size();
  // A request must not grow beyond what is accepted as one.
  if (parts > kMaxSubjectParts) {
    return violations.Add("spec.subject", "must have at most 20 parts in all");
  }
  const absl::Status status = pki::CheckSubject(subject);
  if (!status.ok()) violations.Add("spec.subject", status.message());
}

void ValidateTimes(CertificateSpec& spec, Violations& violations) {
  if (!spec.has_duration()) spec.mutable_duration()->set_seconds(kDefaultDuration);
  violations.Require(spec.duration().seconds() >= kMinDuration, "spec.duration",
                     "must be at least 1 h");
  if (spec.has_renew_before()) {
    violations.Require(spec.renew_before().seconds() >= kMinRenewBefore, "spec.renewBefore",
                       "must be at least 5 min");
    violations.Require(spec.renew_before().seconds() < spec.duration().seconds(),
                       "spec.renewBefore", "must be less than spec.duration");
    violations.Require(spec.renew_before_percentage() == 0, "spec.renewBeforePercentage",
                       "excludes spec.renewBefore");
  }
  violations.Require(
      spec.renew_before_percentage() >= 0 && spec.renew_before_percentage() < 100,
      "spec.renewBeforePercentage", "must be between 1 and 99");
}

void ValidatePrivateKey(issuer::v1::CertificatePrivateKey& key, Violations& violations) {
  if (key.algorithm() == issuer::v1::PRIVATE_KEY_ALGORITHM_UNSPECIFIED) {
    key.set_algorithm(issuer::v1::PRIVATE_KEY_ALGORITHM_ECDSA);
  }
  if (key.encoding() == issuer::v1::PRIVATE_KEY_ENCODING_UNSPECIFIED) {
    key.set_encoding(issuer::v1::PRIVATE_KEY_ENCODING_PKCS8);
  }
  if (key.rotation_policy() == issuer::v1::ROTATION_POLICY_UNSPECIFIED) {
    key.set_rotation_policy(issuer::v1::ROTATION_POLICY_ALWAYS);
  }
  const std::string field = "spec.privateKey.size";
  switch (key.algorithm()) {
    case issuer::v1::PRIVATE_KEY_ALGORITHM_RSA:
      if (key.size() == 0) key.set_size(2048);
      violations.Require(key.size() >= 2048 && key.size() <= 8192, field,
                         "must be 2048 to 8192 for RSA");
      break;
    case issuer::v1::PRIVATE_KEY_ALGORITHM_ECDSA:
      if (key.size() == 0) key.set_size(256);
      violations.Require(key.size() == 256 || key.size() == 384 || key.size() == 521, field,
                         "must be 256, 384 or 521 for ECDSA");
      break;
    case issuer::v1::PRIVATE_KEY_ALGORITHM_ED25519:
      violations.Require(key.size() == 0, field, "must not be given for Ed25519");
      break;
    default:
      violations.Add("spec.privateKey.algorithm", "is not known");
  }
}

std::vector<std::string> Strings(const google::protobuf::RepeatedPtrField<std::string>& field) {
  return {field.begin(), field.end()};
}

}  // namespace

void ValidateCertificate(issuer::v1::Certificate& certificate, Violations& violations) {
  CertificateSpec& spec = *certificate.mutable_spec();
  rpc::CheckName(spec.secret_name(), "spec.secretName", violations);
  service::CheckIssuerRef(spec.issuer_ref(), "spec.issuerRef", violations);
  if (spec.issuer_ref().kind() == meta::v1::ISSUER_KIND_UNSPECIFIED) {
    spec.mutable_issuer_ref()->set_kind(meta::v1::ISSUER_KIND_ISSUER);
  }
  ValidateNames(spec, violations);
  ValidateSubject(spec, violations);
  ValidateTimes(spec, violations);
  ValidatePrivateKey(*spec.mutable_private_key(), violations);
  if (spec.usages().empty()) {
    spec.add_usages("digital signature");
    spec.add_usages("key encipherment");
  }
  const auto usages = pki::ParseUsages(Strings(spec.usages()));
  if (!usages.ok()) violations.Add("spec.usages", usages.status().message());
  if (spec.revision_history_limit() == 0) spec.set_revision_history_limit(1);
  violations.Require(spec.revision_history_limit() >= 1, "spec.revisionHistoryLimit",
                     "must be at least 1");
}

void ValidateCertificateRequest(issuer::v1::CertificateRequest& request,
                                Violations& violations) {
  issuer::v1::CertificateRequestSpec& spec = *request.mutable_spec();
  service::CheckIssuerRef(spec.issuer_ref(), "spec.issuerRef", violations);
  if (spec.issuer_ref().kind() == meta::v1::ISSUER_KIND_UNSPECIFIED) {
    spec.mutable_issuer_ref()->set_kind(meta::v1::ISSUER_KIND_ISSUER);
  }
  const auto csr = pki::ParseCsrPem(spec.request());
  if (!csr.ok()) {
    violations.Add("spec.request", csr.status().message());
  } else {
    violations.Require(!csr->names.dns_names.empty() || !csr->names.ip_addresses.empty(),
                       "spec.request", "must ask for at least one DNS name or IP address");
  }
  const auto usages = pki::ParseUsages(Strings(spec.usages()));
  if (!usages.ok()) violations.Add("spec.usages", usages.status().message());
  violations.Require(!spec.has_duration() || spec.duration().seconds() >= kMinDuration,
                     "spec.duration", "must be at least 1 h");
}

void ValidateSecret(issuer::v1::Secret& secret, Violations& violations) {
  if (secret.type().empty()) secret.set_type("Opaque");
  std::size_t bytes = 0;
  for (const auto& [key, value] : secret.data()) {
    bytes += key.size() + value.size();
    const bool valid =
        !key.empty() && key.size() <= 253 && std::all_of(key.begin(), key.end(), [](char c) {
          return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' ||
                 c == '.';
        });
    violations.Require(valid, "data",
                       "must have keys of a-z, A-Z, 0-9, \"-\", \"_\" and \".\"");
  }
  violations.Require(bytes <= kMaxSecretBytes - 4096, "data", "must be at most 1 MiB together");
  if (secret.type() == kTlsSecretType) {
    violations.Require(
        secret.data().contains(kCertificateKey) && secret.data().contains(kPrivateKeyKey),
        "data", "must have tls.crt and tls.key for this type");
  }
}

absl::Status CheckCertificateIsServed(const CertificateSpec& spec) {
  std::vector<std::string> fields;
  const auto check = [&](bool given, const char* field) {
    if (given) fields.push_back(field);
  };
  check(!spec.literal_subject().empty(), "spec.literalSubject");
  check(spec.other_names_size() > 0, "spec.otherNames");
  check(spec.renewal_windows_size() > 0, "spec.renewalWindows");
  check(spec.is_ca(), "spec.isCa");
  check(!spec.signature_algorithm().empty(), "spec.signatureAlgorithm");
  check(spec.additional_output_formats_size() > 0, "spec.additionalOutputFormats");
  check(spec.has_keystores(), "spec.keystores");
  check(spec.has_secret_template(), "spec.secretTemplate");
  check(spec.has_name_constraints(), "spec.nameConstraints");
  check(spec.fallback_issuer_refs_size() > 0, "spec.fallbackIssuerRefs");
  check(spec.uris_size() > 0, "spec.uris (no ACME server signs them)");
  check(spec.email_addresses_size() > 0, "spec.emailAddresses (no ACME server signs them)");
  if (fields.empty()) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat("this version does not serve ", absl::StrJoin(fields, ", ")));
}

pki::KeySpec KeySpecOf(const CertificateSpec& spec) {
  pki::KeySpec key;
  key.size = spec.private_key().size();
  switch (spec.private_key().algorithm()) {
    case issuer::v1::PRIVATE_KEY_ALGORITHM_RSA:
      key.algorithm = pki::KeyAlgorithm::kRsa;
      break;
    case issuer::v1::PRIVATE_KEY_ALGORITHM_ED25519:
      key.algorithm = pki::KeyAlgorithm::kEd25519;
      break;
    default:
      key.algorithm = pki::KeyAlgorithm::kEcdsa;
  }
  return key;
}

pki::KeyEncoding KeyEncodingOf(const CertificateSpec& spec) {
  return spec.private_key().encoding() == issuer::v1::PRIVATE_KEY_ENCODING_PKCS1
             ? pki::KeyEncoding::kPkcs1
             : pki::KeyEncoding::kPkcs8;
}

pki::CsrSpec CsrSpecOf(const CertificateSpec& spec) {
  pki::CsrSpec csr;
  csr.subject.common_name = spec.common_name();
  const issuer::v1::X509Subject& subject = spec.subject();
  csr.subject.organizations = Strings(subject.organizations());
  csr.subject.countries = Strings(subject.countries());
  csr.subject.organizational_units = Strings(subject.organizational_units());
  csr.subject.localities = Strings(subject.localities());
  csr.subject.provinces = Strings(subject.provinces());
  csr.subject.street_addresses = Strings(subject.street_addresses());
  csr.subject.postal_codes = Strings(subject.postal_codes());
  csr.subject.serial_number = subject.serial_number();
  csr.names.dns_names = Strings(spec.dns_names());
  csr.names.ip_addresses = Strings(spec.ip_addresses());
  csr.names.uris = Strings(spec.uris());
  csr.names.email_addresses = Strings(spec.email_addresses());
  csr.usages = Strings(spec.usages());
  csr.is_ca = spec.is_ca();
  return csr;
}

}  // namespace certwright::issuer_service
