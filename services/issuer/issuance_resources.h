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

// Has the name of NextKeySecretName(), and holds the key until it moves into spec.secret_name
// together with its certificate.
issuer::v1::Secret MakeNextKeySecret(const issuer::v1::Certificate& certificate,
                                     const base::Secret& key_pem);

// The name of the next CertificateRequest, "<certificate>-<revision>-<10 hex digits>": derived
// from the Certificate as it is stored, which the request's creation changes, so that no other
// request, also of a later Certificate of this name, ever gets it. `retry` is for a name that
// somebody else has taken.
std::string RequestName(const issuer::v1::Certificate& certificate, int retry);

// `issuer` is one of IssuersOf(). `present` is the key pair that there is; null for none.
issuer::v1::CertificateRequest MakeRequest(const issuer::v1::Certificate& certificate,
                                           std::string name, std::string csr_pem,
                                           const meta::v1::IssuerRef& issuer,
                                           const KeyPairFacts* present, absl::Time now);

// Makes the Certificate the owner of what has `metadata`.
void SetOwner(const issuer::v1::Certificate& certificate, meta::v1::ObjectMeta& metadata);

// Overwrites its values.
void Wipe(issuer::v1::Secret& secret);

}  // namespace certwright::issuer_service
