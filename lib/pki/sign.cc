#include "lib/pki/sign.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/pki/certificate_builder.h"
#include "lib/pki/openssl.h"
#include "lib/pki/subject.h"

namespace certwright::pki {
namespace {

absl::Status Refused(absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("the CA's certificate ", why));
}

std::string Text(absl::Time time) { return absl::FormatTime(time, absl::UTCTimeZone()); }

// The DER of a sequence of nothing, or nothing at all.
bool IsEmptyName(absl::string_view der) {
  return der.empty() || der == absl::string_view("\x30\x00", 2);
}

std::string FirstShortName(const SubjectAltNames& names) {
  // RFC 5280 appendix A.1: ub-common-name.
  constexpr size_t kMaxCommonName = 64;
  for (const auto* kind : {&names.dns_names, &names.ip_addresses}) {
    for (const std::string& name : *kind) {
      if (name.size() <= kMaxCommonName) return name;
    }
  }
  return "Self-signed";
}

}  // namespace

CertificateTemplate TemplateFromCsr(const Csr& csr) {
  CertificateTemplate values;
  values.public_key = csr.public_key;
  values.subject_der = csr.subject_der;
  values.names = csr.names;
  values.usages = csr.usages;
  values.is_ca = csr.is_ca;
  values.name_constraints = csr.name_constraints;
  return values;
}

absl::Status CheckSigningCa(const SigningCa& ca, absl::Time now) {
  OpensslErrorScope scope;
  // 1: version 3, basicConstraints say CA, and no key usage that lacks keyCertSign.
  if (!ca.certificate.is_ca || X509_check_ca(ca.certificate.x509.get()) != 1) {
    return Refused("is not a CA's, or its key usage lacks \"cert sign\"");
  }
  if (X509_NAME_entry_count(X509_get_subject_name(ca.certificate.x509.get())) == 0) {
    // RFC 5280 §4.1.2.4: every certificate names its issuer.
    return Refused("has an empty subject");
  }
  if (!(ca.certificate.public_key == ca.key.public_key())) {
    return Refused(absl::StrCat("is for another key (", ca.certificate.public_key.Description(),
                                ") than the CA's private key (",
                                ca.key.public_key().Description(), ")"));
  }
  if (ca.certificate.not_after <= now) {
    return Refused(absl::StrCat("expired at ", Text(ca.certificate.not_after)));
  }
  if (ca.certificate.not_before > now) {
    return Refused(absl::StrCat("is valid only from ", Text(ca.certificate.not_before)));
  }
  return absl::OkStatus();
}

absl::StatusOr<Certificate> SignCertificate(const SigningCa& ca,
                                            const CertificateTemplate& values) {
  CW_RETURN_IF_ERROR(CheckSigningCa(ca, values.not_before));
  if (values.is_ca && X509_get_pathlen(ca.certificate.x509.get()) == 0) {
    return Refused("has the path length 0, so that it may sign no other CA's");
  }
  CertificateTemplate cut = values;
  cut.not_after = std::min(values.not_after, ca.certificate.not_after);
  CW_ASSIGN_OR_RETURN(std::string serial, RandomSerial());
  return BuildCertificate(cut, serial, &ca.certificate, ca.key);
}

absl::StatusOr<Certificate> SelfSign(const PrivateKey& key, CertificateTemplate values) {
  values.public_key = key.public_key();
  if (IsEmptyName(values.subject_der)) {
    Subject subject;
    subject.common_name = FirstShortName(values.names);
    CW_ASSIGN_OR_RETURN(values.subject_der, EncodeSubject(subject));
  }
  CW_ASSIGN_OR_RETURN(std::string serial, RandomSerial());
  return BuildCertificate(values, serial, /*issuer=*/nullptr, key);
}

std::vector<Certificate> ServedChain(const SigningCa& ca, const Certificate& leaf) {
  OpensslErrorScope scope;
  std::vector<Certificate> served = {leaf};
  if (!IsSelfSigned(ca.certificate)) served.push_back(ca.certificate);
  for (const Certificate& above : ca.chain) {
    if (!IsSelfSigned(above)) served.push_back(above);
  }
  return served;
}

}  // namespace certwright::pki
