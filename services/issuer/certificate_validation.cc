#include "services/issuer/certificate_validation.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "lib/base/status_macros.h"
#include "lib/pki/name_constraints.h"
#include "lib/pki/names.h"
#include "lib/pki/subject.h"
#include "lib/pki/usages.h"
#include "lib/service/metadata.h"
#include "services/issuer/issuer_choice.h"
#include "services/issuer/kinds.h"
#include "services/issuer/output_validation.h"
#include "services/issuer/renewal_windows.h"
#include "services/issuer/request_defaults.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateSpec;
using rpc::Indexed;
using rpc::Violations;

constexpr int kMaxNames = 100;
constexpr std::size_t kMaxCommonName = 64;
constexpr std::size_t kMaxSubjectParts = 20;
// Together with the subject and a large key, what a request of 64 KiB holds.
constexpr std::size_t kMaxBytesOfNames = 27 << 10;
constexpr std::size_t kMaxBytesOfConstraints = 6 << 10;
constexpr int kMaxUsages = 100;
constexpr int kMaxRenewalWindows = 50;
constexpr int kMaxFallbacks = 8;
constexpr int64_t kMinDuration = 3600;
constexpr int64_t kMinRenewBefore = 300;
// Sealed and with its metadata a Secret is at most what a user may store.
constexpr std::size_t kMaxSecretBytes = 120 << 10;

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

void NormalizeOtherNames(google::protobuf::RepeatedPtrField<issuer::v1::OtherName>& names,
                         Violations& violations) {
  std::set<pki::OtherName> seen;
  for (int i = 0; i < names.size();) {
    const pki::OtherName name{names[i].oid(), names[i].utf8_value()};
    const auto normal = pki::NormalizeOtherName(name);
    if (!normal.ok()) {
      violations.Add(Indexed("spec.otherNames", i), normal.status().message());
    }
    if (normal.ok() && !seen.insert(name).second) {
      names.erase(names.begin() + i);
    } else {
      ++i;
    }
  }
}

bool HasCommonName(const CertificateSpec& spec) {
  if (spec.literal_subject().empty()) return !spec.common_name().empty();
  const auto der = pki::EncodeLiteralSubject(spec.literal_subject());
  // What cannot be read is reported elsewhere.
  return !der.ok() || !pki::DecodeSubject(*der)->common_name.empty();
}

std::size_t BytesOfNames(const CertificateSpec& spec) {
  std::size_t bytes = 0;
  for (const auto* names :
       {&spec.dns_names(), &spec.ip_addresses(), &spec.uris(), &spec.email_addresses()}) {
    for (const std::string& name : *names) bytes += name.size();
  }
  for (const auto& name : spec.other_names()) {
    bytes += name.oid().size() + name.utf8_value().size();
  }
  return bytes;
}

void ValidateCommonName(CertificateSpec& spec, Violations& violations) {
  if (spec.common_name().empty()) return;
  // ACME CAs take the common name for one of the names, so it must be among them. One that
  // cannot be, or that is a CA's, is for other issuers.
  const auto address = pki::NormalizeIpAddress(spec.common_name());
  const auto name = pki::NormalizeDnsName(spec.common_name());
  if (spec.is_ca() || (!address.ok() && !name.ok())) {
    pki::Subject subject;
    subject.common_name = spec.common_name();
    const absl::Status status = pki::CheckSubject(subject);
    if (!status.ok()) violations.Add("spec.commonName", status.message());
    return;
  }
  if (address.ok()) {
    spec.set_common_name(*address);
    if (std::ranges::find(spec.ip_addresses(), *address) == spec.ip_addresses().end()) {
      spec.add_ip_addresses(*address);
    }
  } else {
    spec.set_common_name(*name);
    if (std::ranges::find(spec.dns_names(), *name) == spec.dns_names().end()) {
      spec.add_dns_names(*name);
    }
  }
  // The length that counts is that of the A-labels.
  violations.Require(spec.common_name().size() <= kMaxCommonName, "spec.commonName",
                     "must be at most 64 characters");
}

void ValidateNames(CertificateSpec& spec, Violations& violations) {
  const int given = spec.dns_names_size() + spec.ip_addresses_size() + spec.uris_size() +
                    spec.email_addresses_size() + spec.other_names_size();
  violations.Require(given > 0 || HasCommonName(spec), "spec.dnsNames",
                     "at least one name is required here or in another field of names");
  violations.Require(given <= kMaxNames, "spec.dnsNames", "must be at most 100 names in all");
  NormalizeAll(*spec.mutable_dns_names(), "spec.dnsNames", pki::NormalizeDnsName, violations);
  NormalizeAll(*spec.mutable_ip_addresses(), "spec.ipAddresses", pki::NormalizeIpAddress,
               violations);
  NormalizeAll(*spec.mutable_uris(), "spec.uris", pki::NormalizeUri, violations);
  NormalizeAll(*spec.mutable_email_addresses(), "spec.emailAddresses", pki::NormalizeEmail,
               violations);
  NormalizeOtherNames(*spec.mutable_other_names(), violations);
  violations.Require(BytesOfNames(spec) <= kMaxBytesOfNames, "spec.dnsNames",
                     "must be at most 27 KiB of names in all");
  ValidateCommonName(spec, violations);
}

void ValidateSubject(const CertificateSpec& spec, Violations& violations) {
  if (!spec.literal_subject().empty()) {
    violations.Require(spec.common_name().empty() && !spec.has_subject(), "spec.literalSubject",
                       "excludes spec.commonName and spec.subject");
    const auto der = pki::EncodeLiteralSubject(spec.literal_subject());
    if (!der.ok()) violations.Add("spec.literalSubject", der.status().message());
  }
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

std::size_t BytesOf(const pki::NameSubtrees& subtrees) {
  // What DER adds to each.
  constexpr std::size_t kOverhead = 8;
  std::size_t bytes = 0;
  for (const auto* entries : {&subtrees.dns_domains, &subtrees.ip_ranges,
                              &subtrees.email_addresses, &subtrees.uri_domains}) {
    for (const std::string& entry : *entries) bytes += entry.size() + kOverhead;
  }
  return bytes;
}

void SetSubtrees(const pki::NameSubtrees& subtrees, issuer::v1::NameConstraintSet& set) {
  set.mutable_dns_domains()->Assign(subtrees.dns_domains.begin(), subtrees.dns_domains.end());
  set.mutable_ip_ranges()->Assign(subtrees.ip_ranges.begin(), subtrees.ip_ranges.end());
  set.mutable_email_addresses()->Assign(subtrees.email_addresses.begin(),
                                        subtrees.email_addresses.end());
  set.mutable_uri_domains()->Assign(subtrees.uri_domains.begin(), subtrees.uri_domains.end());
}

void ValidateNameConstraints(CertificateSpec& spec, Violations& violations) {
  if (!spec.has_name_constraints()) return;
  constexpr char kField[] = "spec.nameConstraints";
  violations.Require(spec.is_ca(), kField, "is only for a CA's certificate: set spec.isCa");
  const auto normal = pki::NormalizeNameConstraints(CsrSpecOf(spec).name_constraints);
  if (!normal.ok()) return violations.Add(kField, normal.status().message());
  violations.Require(!normal->empty(), kField, "must permit or exclude something");
  violations.Require(
      BytesOf(normal->permitted) + BytesOf(normal->excluded) <= kMaxBytesOfConstraints, kField,
      "must be at most 6 KiB");
  issuer::v1::NameConstraints& constraints = *spec.mutable_name_constraints();
  if (constraints.has_permitted()) {
    SetSubtrees(normal->permitted, *constraints.mutable_permitted());
  }
  if (constraints.has_excluded()) {
    SetSubtrees(normal->excluded, *constraints.mutable_excluded());
  }
}

void ValidateTimes(CertificateSpec& spec, Violations& violations) {
  if (!spec.has_duration())
    spec.mutable_duration()->set_seconds(absl::ToInt64Seconds(kDefaultDuration));
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

void ValidateRenewalWindows(const CertificateSpec& spec, Violations& violations) {
  violations.Require(spec.renewal_windows_size() <= kMaxRenewalWindows, "spec.renewalWindows",
                     absl::StrCat("must be at most ", kMaxRenewalWindows));
  const auto windows = RenewalWindows::Parse(spec.renewal_windows());
  if (windows.ok()) return;
  // "[2].cron: a rule"
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(windows.status().message(), absl::MaxSplits(": ", 1));
  violations.Add(absl::StrCat("spec.renewalWindows", parts.first), parts.second);
}

void ValidateIssuers(CertificateSpec& spec, Violations& violations) {
  const auto check = [&violations](meta::v1::IssuerRef& ref, const std::string& field) {
    service::CheckIssuerRef(ref, field, violations);
    if (ref.kind() == meta::v1::ISSUER_KIND_UNSPECIFIED) {
      ref.set_kind(meta::v1::ISSUER_KIND_ISSUER);
    }
  };
  check(*spec.mutable_issuer_ref(), "spec.issuerRef");
  violations.Require(spec.fallback_issuer_refs_size() <= kMaxFallbacks,
                     "spec.fallbackIssuerRefs",
                     absl::StrCat("must be at most ", kMaxFallbacks));
  std::vector<meta::v1::IssuerRef> known = {spec.issuer_ref()};
  for (int i = 0; i < spec.fallback_issuer_refs_size(); ++i) {
    meta::v1::IssuerRef& ref = *spec.mutable_fallback_issuer_refs(i);
    const std::string field = absl::StrCat("spec.fallbackIssuerRefs[", i, "]");
    check(ref, field);
    const bool repeated = std::any_of(
        known.begin(), known.end(),
        [&ref](const meta::v1::IssuerRef& other) { return SameIssuer(other, ref); });
    violations.Require(!repeated, field, "names an issuer that is named already");
    known.push_back(ref);
  }
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

// Whether the usages of a request's spec and of its signing request are the same, if both have
// any.
bool UsagesAgree(pki::UsageSet spec, const std::vector<std::string>& asked) {
  auto csr = pki::ParseUsages(asked);
  // An identifier without a word cannot be in the spec.
  if (spec == pki::UsageSet() || asked.empty()) return true;
  if (!csr.ok()) return false;
  std::ranges::sort(spec.extended_key_usages);
  std::ranges::sort(csr->extended_key_usages);
  return spec == *csr;
}

bool Contains(const std::vector<std::string>& names, const absl::StatusOr<std::string>& name) {
  return name.ok() && std::ranges::find(names, *name) != names.end();
}

}  // namespace

void ValidateCertificate(issuer::v1::Certificate& certificate, Violations& violations) {
  CertificateSpec& spec = *certificate.mutable_spec();
  rpc::CheckName(spec.secret_name(), "spec.secretName", violations);
  ValidateIssuers(spec, violations);
  ValidateNames(spec, violations);
  ValidateSubject(spec, violations);
  ValidateTimes(spec, violations);
  ValidateRenewalWindows(spec, violations);
  ValidatePrivateKey(*spec.mutable_private_key(), violations);
  ValidateNameConstraints(spec, violations);
  ValidateOutputs(spec, violations);
  const auto digest = pki::SignatureDigestOf(spec.signature_algorithm(), KeySpecOf(spec));
  if (!digest.ok()) violations.Add("spec.signatureAlgorithm", digest.status().message());
  if (spec.usages().empty()) {
    spec.mutable_usages()->Assign(kDefaultUsages.begin(), kDefaultUsages.end());
  }
  const auto usages = pki::ParseUsages(Strings(spec.usages()));
  if (!usages.ok()) violations.Add("spec.usages", usages.status().message());
  violations.Require(spec.usages_size() <= kMaxUsages, "spec.usages", "must be at most 100");
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
    violations.Require(!csr->names.empty() || !csr->subject.common_name.empty(), "spec.request",
                       "must ask for at least one name");
    violations.Require(spec.is_ca() == csr->is_ca, "spec.isCa",
                       csr->is_ca
                           ? "must be true, as spec.request asks for a CA certificate"
                           : "must be false, as spec.request asks for no CA certificate");
  }
  const auto usages = pki::ParseUsages(Strings(spec.usages()));
  if (!usages.ok()) {
    violations.Add("spec.usages", usages.status().message());
  } else if (csr.ok()) {
    violations.Require(
        UsagesAgree(*usages, csr->usages), "spec.usages",
        absl::StrCat("must be those of spec.request: ", absl::StrJoin(csr->usages, ", ")));
  }
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
  violations.Require(bytes <= kMaxSecretBytes, "data", "must be at most 120 KiB together");
  if (secret.type() == kTlsSecretType) {
    violations.Require(
        secret.data().contains(kCertificateKey) && secret.data().contains(kPrivateKeyKey),
        "data", "must have tls.crt and tls.key for this type");
  }
}

absl::Status CheckAcmeSigns(const issuer::v1::CertificateRequestSpec& spec) {
  CW_ASSIGN_OR_RETURN(const pki::Csr csr, pki::ParseCsrPem(spec.request()));
  if (spec.is_ca() || csr.is_ca) {
    return absl::InvalidArgumentError("No ACME server signs a CA's certificate.");
  }
  const pki::SubjectAltNames& names = csr.names;
  if (names.empty()) {
    return absl::InvalidArgumentError(
        "The request has a common name but no subject alternative names, where an ACME server "
        "looks for names; make it anew with the name as one of them.");
  }
  if (!names.uris.empty() || !names.email_addresses.empty() || !names.other_names.empty() ||
      (names.dns_names.empty() && names.ip_addresses.empty())) {
    return absl::InvalidArgumentError(
        "An ACME server signs certificates for DNS names and IP addresses only, and for at "
        "least one.");
  }
  const std::string& common_name = csr.subject.common_name;
  if (common_name.empty() || Contains(names.dns_names, pki::NormalizeDnsName(common_name)) ||
      Contains(names.ip_addresses, pki::NormalizeIpAddress(common_name))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "The common name must be one of the names for an ACME server to sign the request.");
}

}  // namespace certwright::issuer_service
