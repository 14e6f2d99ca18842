// The half of certificate_validation.h that says what a validated spec means to lib/pki.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/pki/digest.h"
#include "lib/pki/name_constraints.h"
#include "services/issuer/certificate_validation.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateSpec;

std::vector<std::string> Strings(const google::protobuf::RepeatedPtrField<std::string>& field) {
  return {field.begin(), field.end()};
}

pki::NameSubtrees SubtreesOf(const issuer::v1::NameConstraintSet& set) {
  pki::NameSubtrees subtrees;
  subtrees.dns_domains = Strings(set.dns_domains());
  subtrees.ip_ranges = Strings(set.ip_ranges());
  subtrees.email_addresses = Strings(set.email_addresses());
  subtrees.uri_domains = Strings(set.uri_domains());
  return subtrees;
}

}  // namespace

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
  for (const issuer::v1::OtherName& name : spec.other_names()) {
    csr.names.other_names.push_back({name.oid(), name.utf8_value()});
  }
  csr.usages = Strings(spec.usages());
  csr.is_ca = spec.is_ca();
  csr.literal_subject = spec.literal_subject();
  csr.signature_algorithm = spec.signature_algorithm();
  if (spec.has_name_constraints()) {
    csr.name_constraints.permitted = SubtreesOf(spec.name_constraints().permitted());
    csr.name_constraints.excluded = SubtreesOf(spec.name_constraints().excluded());
    csr.name_constraints.critical = spec.name_constraints().critical();
  }
  return csr;
}

bool AsksForSubjectOf(const CertificateSpec& spec, const pki::Csr& csr) {
  const pki::CsrSpec wanted = CsrSpecOf(spec);
  const auto subject = pki::SubjectDerOf(wanted);
  const auto constraints = pki::NormalizeNameConstraints(wanted.name_constraints);
  return subject.ok() && *subject == csr.subject_der && wanted.is_ca == csr.is_ca &&
         constraints.ok() && *constraints == csr.name_constraints;
}

std::string RequestDigest(const CertificateSpec& spec) {
  const pki::CsrSpec wanted = CsrSpecOf(spec);
  std::vector<std::string> usages = wanted.usages;
  std::ranges::sort(usages);
  std::string text =
      absl::StrCat(pki::SubjectDerOf(wanted).value_or(""), ";", wanted.is_ca, ";",
                   spec.duration().seconds(), ";", absl::StrJoin(usages, ","));
  const auto constraints =
      pki::NormalizeNameConstraints(wanted.name_constraints).value_or(pki::NameConstraints());
  if (!constraints.empty()) {
    absl::StrAppend(&text, ";", constraints.critical);
    for (const pki::NameSubtrees* subtrees : {&constraints.permitted, &constraints.excluded}) {
      for (const auto* entries : {&subtrees->dns_domains, &subtrees->ip_ranges,
                                  &subtrees->email_addresses, &subtrees->uri_domains}) {
        absl::StrAppend(&text, ";", absl::StrJoin(*entries, ","));
      }
    }
  }
  return absl::StrCat(kRequestDigestVersion, absl::BytesToHexString(pki::Sha256(text)));
}

}  // namespace certwright::issuer_service
