// Whether what is asked for can be had from the issuers that it names, as far as that is known
// without asking a CA.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/meta/v1/meta.pb.h"
#include "lib/pki/csr.h"
#include "lib/rpc/validation.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "services/issuer/accounts.h"
#include "services/issuer/acme_rules.h"

namespace certwright::issuer_service {

AskedOfAcme AskedBy(const pki::Csr& csr);
// `spec` is valid.
AskedOfAcme AskedBy(const issuer::v1::CertificateSpec& spec);

// What keeps the first of these issuers from it, if something keeps all of them; none if there
// is one that can, or that does not exist yet. `accounts` must outlive the call.
runtime::Awaitable<absl::StatusOr<rpc::Violations>> WhyNobodyIssues(
    runtime::Context context, Accounts& accounts, std::vector<meta::v1::IssuerRef> issuers,
    std::string resource_namespace, AskedOfAcme asked);

}  // namespace certwright::issuer_service
