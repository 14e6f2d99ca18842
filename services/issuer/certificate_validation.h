// The rules of Certificates, CertificateRequests and Secrets, and their defaults.
#pragma once

#include <string>

#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "lib/rpc/validation.h"

namespace certwright::issuer_service {

// Each normalises names, fills defaults in and adds a violation for every broken rule.
void ValidateCertificate(issuer::v1::Certificate& certificate, rpc::Violations& violations);
void ValidateCertificateRequest(issuer::v1::CertificateRequest& request,
                                rpc::Violations& violations);
void ValidateSecret(issuer::v1::Secret& secret, rpc::Violations& violations);

// What a validated spec says, in terms of lib/pki.
pki::KeySpec KeySpecOf(const issuer::v1::CertificateSpec& spec);
pki::KeyEncoding KeyEncodingOf(const issuer::v1::CertificateSpec& spec);
pki::CsrSpec CsrSpecOf(const issuer::v1::CertificateSpec& spec);

// Whether `csr` asks for the subject, the kind and the constraints that the spec does.
bool AsksForSubjectOf(const issuer::v1::CertificateSpec& spec, const pki::Csr& csr);

// Tells apart what requests for two specs ask for, besides names, key and issuer. Begins with
// the version of what it is made of: digests of different versions cannot be compared.
std::string RequestDigest(const issuer::v1::CertificateSpec& spec);
inline constexpr char kRequestDigestVersion[] = "v1-";

}  // namespace certwright::issuer_service
