#include "lib/service/issuer_ref.h"

#include "absl/strings/str_cat.h"

namespace certwright::service {

bool IsCluster(const meta::v1::IssuerRef& ref) {
  return ref.kind() == meta::v1::ISSUER_KIND_CLUSTER_ISSUER;
}

const char* IssuerKindName(const meta::v1::IssuerRef& ref) {
  return IsCluster(ref) ? "ClusterIssuer" : "Issuer";
}

std::string IssuerKey(const meta::v1::IssuerRef& ref, absl::string_view resource_namespace) {
  const std::string name =
      IsCluster(ref) ? ref.name() : absl::StrCat(resource_namespace, "/", ref.name());
  return absl::StrCat(IssuerKindName(ref), " ", name);
}

}  // namespace certwright::service
