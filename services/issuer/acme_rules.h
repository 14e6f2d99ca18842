// AcmeRules: what an ACME issuer cannot get signed whatever its CA answers, so that it is said
// when it is asked for: pure functions.
#pragma once

#include <string>

#include "certwright/issuer/v1/issuer.pb.h"
#include "lib/pki/names.h"
#include "lib/rpc/validation.h"

namespace certwright::issuer_service {

// What is asked for, as a signing request will say it.
struct AskedOfAcme {
  pki::SubjectAltNames names;
  std::string common_name;
  bool is_ca = false;
};

// Adds a violation, with the fields of a CertificateSpec, for each of: a CA's certificate;
// names that are neither DNS names nor addresses, none at all, or more than an Order has; a
// common name that is none of them (RFC 8555 §7.4); and a DNS name that only DNS-01 proves here
// but that is too long for its record (RFC 8555 §8.4).
void CheckAcmeSigns(const AskedOfAcme& asked, const issuer::v1::AcmeIssuer& issuer,
                    rpc::Violations& violations);

}  // namespace certwright::issuer_service
