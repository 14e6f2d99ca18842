// The rules of an issuer's spec, and its defaults.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "lib/rpc/validation.h"

namespace certwright::issuer_service {

// Fills defaults in (account key Secret, names and settings of solvers) and adds a violation
// for every broken rule. `issuer_name` is metadata.name.
void ValidateIssuerSpec(const std::string& issuer_name, issuer::v1::IssuerSpec& spec,
                        rpc::Violations& violations);

// UNIMPLEMENTED, naming what, for kinds of DNS providers that this version stores no issuer of.
absl::Status CheckIssuerIsServed(const issuer::v1::IssuerSpec& spec);

// References to Secrets that a solver's configuration has, with their default keys filled in.
std::vector<meta::v1::SecretKeyRef> SecretRefsOf(const issuer::v1::AcmeSolver& solver);

}  // namespace certwright::issuer_service
