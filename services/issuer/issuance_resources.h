// The resources that a Certificate makes for one issuance: the next key's Secret, and the
// request.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/base/secret.h"
#include "services/issuer/certificate_decision.h"

namespace certwright::issuer_service {

// Has the name of service::SuffixedName(<certificate>, "next-key"), and holds the key until it
// moves into spec.secret_name together with its certificate.
issuer::v1::Secret MakeNextKeySecret(const issuer::v1::Certificate& certificate,
                                     const base::Secret& key_pem);

// `issuer` is one of IssuersOf(). `present` is the key pair that there is; null for none.
issuer::v1::CertificateRequest MakeRequest(const issuer::v1::Certificate& certificate,
                                           std::string name, std::string csr_pem,
                                           const meta::v1::IssuerRef& issuer,
                                           const KeyPairFacts* present, absl::Time now);

// Overwrites its values.
void Wipe(issuer::v1::Secret& secret);

}  // namespace certwright::issuer_service
