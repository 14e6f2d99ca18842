// CertificateTemplate: what a CA is to put into a certificate.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "lib/pki/key.h"
#include "lib/pki/name_constraints.h"
#include "lib/pki/names.h"

namespace certwright::pki {

struct CertificateTemplate {
  // Whom the certificate is for. SelfSign() puts its own key here.
  PublicKey public_key = PublicKey(nullptr);
  // DER of the X.501 Name, taken over octet by octet: Csr::subject_der, or from
  // EncodeSubject(). Empty: the empty name.
  std::string subject_der;
  // In their one spelling.
  SubjectAltNames names;
  // In cert-manager's words. A CA's certificate always gets "cert sign" too.
  std::vector<std::string> usages;
  bool is_ca = false;
  // Only for a CA. In any spelling that NormalizeNameConstraints() takes.
  NameConstraints name_constraints;
  // The moment of signing, which the CA must be valid at: nothing is taken off it for clocks
  // that are behind, so whoever wants that subtracts it here. Whole seconds count.
  absl::Time not_before;
  absl::Time not_after;
  // URLs of HTTP or LDAP, each a distribution point of its own (RFC 5280 §4.2.1.13).
  std::vector<std::string> crl_distribution_points;
  // URLs of HTTP or LDAP (RFC 5280 §4.2.2.1: id-ad-ocsp and id-ad-caIssuers).
  std::vector<std::string> ocsp_servers;
  std::vector<std::string> issuing_certificate_urls;
};

}  // namespace certwright::pki
