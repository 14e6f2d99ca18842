// What a reference to an issuer means.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "certwright/meta/v1/meta.pb.h"

namespace certwright::service {

bool IsCluster(const meta::v1::IssuerRef& ref);

// "ClusterIssuer" or "Issuer".
const char* IssuerKindName(const meta::v1::IssuerRef& ref);

// "Issuer <namespace>/<name>" or "ClusterIssuer <name>": a key that tells issuers apart, and
// how messages call them. `resource_namespace` is that of the resource that refers to it.
std::string IssuerKey(const meta::v1::IssuerRef& ref, absl::string_view resource_namespace);

}  // namespace certwright::service
