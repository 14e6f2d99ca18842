// The rules of what else a Certificate's Secret is to hold: other forms of the key pair, key
// stores, labels and annotations.
#pragma once

#include "certwright/issuer/v1/certificate.pb.h"
#include "lib/rpc/validation.h"

namespace certwright::issuer_service {

// Fills defaults in and adds a violation for every broken rule.
void ValidateOutputs(issuer::v1::CertificateSpec& spec, rpc::Violations& violations);

}  // namespace certwright::issuer_service
