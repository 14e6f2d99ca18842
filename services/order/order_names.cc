#include "services/order/order_names.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"

namespace certwright::order {
namespace {

// A common name is free text, so one word of it is not taken for a host.
void AddCommonName(absl::string_view common_name, pki::SubjectAltNames& names) {
  if (absl::StatusOr<std::string> address = pki::NormalizeIpAddress(common_name);
      address.ok()) {
    names.ip_addresses.push_back(*std::move(address));
    return;
  }
  absl::StatusOr<std::string> name = pki::NormalizeDnsName(common_name);
  if (name.ok() && name->find('.') != std::string::npos) {
    names.dns_names.push_back(*std::move(name));
  }
}

}  // namespace

absl::StatusOr<pki::SubjectAltNames> OrderedNames(const v1::OrderSpec& spec) {
  pki::SubjectAltNames names;
  names.dns_names.assign(spec.dns_names().begin(), spec.dns_names().end());
  names.ip_addresses.assign(spec.ip_addresses().begin(), spec.ip_addresses().end());
  AddCommonName(spec.common_name(), names);
  return pki::NormalizeNames(names);
}

std::vector<acme::Identifier> IdentifiersOf(const pki::SubjectAltNames& names) {
  std::vector<acme::Identifier> identifiers;
  for (const std::string& name : names.dns_names) {
    identifiers.push_back(acme::DnsIdentifier(name));
  }
  for (const std::string& address : names.ip_addresses) {
    identifiers.push_back(acme::IpIdentifier(address));
  }
  return acme::NormalizeIdentifiers(std::move(identifiers));
}

std::string RequestDifference(const pki::Csr& request, const pki::SubjectAltNames& ordered) {
  pki::SubjectAltNames requested = request.names;
  AddCommonName(request.subject.common_name, requested);
  absl::StatusOr<pki::SubjectAltNames> normalized = pki::NormalizeNames(requested);
  if (!normalized.ok()) return std::string(normalized.status().message());
  const std::string difference = pki::NameSetDifference(ordered, *normalized);
  if (difference.empty()) return "";
  return absl::StrCat("its names differ from those of the order: ", difference);
}

std::string DisplayName(const v1::Authorization& authorization) {
  return authorization.wildcard() ? absl::StrCat("*.", authorization.identifier())
                                  : authorization.identifier();
}

}  // namespace certwright::order
