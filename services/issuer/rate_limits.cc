#include "services/issuer/rate_limits.h"

#include <algorithm>
#include <array>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/pki/digest.h"
#include "lib/pki/registered_domain.h"
#include "lib/service/conditions.h"

namespace certwright::issuer_service {
namespace {

constexpr char kLetsEncrypt[] = "https://acme-v02.api.letsencrypt.org/";

struct KindText {
  LimitKind kind;
  // What the names of its buckets begin with.
  absl::string_view prefix;
  absl::string_view reason;
  absl::string_view description;
  absl::string_view field;
};

constexpr std::array<KindText, 4> kKinds = {{
    {LimitKind::kOrders, "orders", "OrdersPerAccount", "new orders of the account", "orders"},
    {LimitKind::kDomain, "domain", "CertificatesPerDomain", "certificates for ",
     "certificatesPerDomain"},
    {LimitKind::kNameSet, "names", "CertificatesPerNameSet",
     "certificates for exactly these names", "certificatesPerNameSet"},
    {LimitKind::kFailures, "failures", "FailedValidations", "failed validations of ",
     "failedValidations"},
}};

const KindText& TextOf(absl::string_view bucket) {
  const absl::string_view prefix = bucket.substr(0, bucket.find(' '));
  const auto it = std::find_if(kKinds.begin(), kKinds.end(), [prefix](const KindText& text) {
    return text.prefix == prefix;
  });
  return it == kKinds.end() ? kKinds.front() : *it;
}

void Override(int32_t count, bool has_window, const google::protobuf::Duration& window,
              Limit& limit) {
  if (count > 0) limit.count = count;
  if (has_window) limit.window = service::FromProto(window);
}

std::string OrdersBucket(const std::string& account) {
  return absl::StrCat("orders ", account);
}

std::string DomainBucket(const std::string& server, absl::string_view domain) {
  return absl::StrCat("domain ", server, " ", domain);
}

std::string NameSetBucket(const LimitedOrder& order) {
  std::string names;
  for (const std::string& name : order.names.dns_names) absl::StrAppend(&names, name, "\n");
  for (const std::string& name : order.names.ip_addresses) absl::StrAppend(&names, name, "\n");
  return absl::StrCat("names ", order.server, " ", absl::BytesToHexString(pki::Sha256(names)));
}

std::set<std::string> DomainsOf(const pki::SubjectAltNames& names) {
  std::set<std::string> domains;
  for (const std::string& name : names.dns_names) domains.insert(pki::RegisteredDomain(name));
  for (const std::string& name : names.ip_addresses) domains.insert(pki::AddressUnit(name));
  return domains;
}

std::set<std::string> ProvenNames(const pki::SubjectAltNames& names) {
  std::set<std::string> proven(names.ip_addresses.begin(), names.ip_addresses.end());
  for (const std::string& name : names.dns_names) {
    proven.emplace(absl::StripPrefix(name, "*."));
  }
  return proven;
}

}  // namespace

RateLimits RateLimitsOf(const issuer::v1::AcmeIssuer& issuer) {
  if (!issuer.has_rate_limits() && !absl::StartsWith(issuer.server(), kLetsEncrypt)) return {};
  RateLimits limits;
  limits.orders = {300, absl::Hours(3)};
  limits.per_domain = {50, absl::Hours(168)};
  limits.per_name_set = {5, absl::Hours(168)};
  limits.failures = {4, absl::Hours(1)};
  const issuer::v1::RateLimits& given = issuer.rate_limits();
  Override(given.orders(), given.has_orders_window(), given.orders_window(), limits.orders);
  Override(given.certificates_per_domain(), given.has_certificates_per_domain_window(),
           given.certificates_per_domain_window(), limits.per_domain);
  Override(given.certificates_per_name_set(), given.has_certificates_per_name_set_window(),
           given.certificates_per_name_set_window(), limits.per_name_set);
  Override(given.failed_validations(), given.has_failed_validations_window(),
           given.failed_validations_window(), limits.failures);
  return limits;
}

std::vector<Draw> DrawsOf(const RateLimits& limits, const LimitedOrder& order) {
  std::vector<Draw> draws;
  if (order.exemption != Exemption::kAdvised) {
    draws.push_back({OrdersBucket(order.account), limits.orders});
    draws.push_back({NameSetBucket(order), limits.per_name_set});
  }
  if (order.exemption == Exemption::kNone) {
    for (const std::string& domain : DomainsOf(order.names)) {
      draws.push_back({DomainBucket(order.server, domain), limits.per_domain});
    }
  }
  for (const std::string& name : ProvenNames(order.names)) {
    draws.push_back({FailuresBucket(order.account, name), limits.failures});
  }
  return draws;
}

std::string ReachedBucket(const acme::RateLimitDetail& detail, const LimitedOrder& order,
                          bool placing) {
  switch (detail.limit) {
    case acme::ReachedLimit::kOrdersPerAccount:
      return OrdersBucket(order.account);
    case acme::ReachedLimit::kCertificatesPerNameSet:
      return NameSetBucket(order);
    case acme::ReachedLimit::kCertificatesPerDomain:
      if (!DomainsOf(order.names).contains(detail.name)) return "";
      return DomainBucket(order.server, detail.name);
    case acme::ReachedLimit::kFailedValidations:
      if (!ProvenNames(order.names).contains(detail.name)) return "";
      return FailuresBucket(order.account, detail.name);
    case acme::ReachedLimit::kOther:
      return "";
    case acme::ReachedLimit::kUnknown:
      break;
  }
  return placing ? OrdersBucket(order.account) : "";
}

std::string FailuresBucket(const std::string& account, absl::string_view name) {
  return absl::StrCat("failures ", account, " ", absl::StripPrefix(name, "*."));
}

LimitKind KindOf(absl::string_view bucket) { return TextOf(bucket).kind; }

std::string LimitReason(absl::string_view bucket) { return std::string(TextOf(bucket).reason); }

std::string DescribeBucket(absl::string_view bucket) {
  const KindText& text = TextOf(bucket);
  const bool named = text.kind == LimitKind::kDomain || text.kind == LimitKind::kFailures;
  return absl::StrCat(text.description,
                      named ? bucket.substr(bucket.rfind(' ') + 1) : absl::string_view());
}

std::string LimitField(absl::string_view bucket) {
  return absl::StrCat("spec.acme.rateLimits.", TextOf(bucket).field);
}

}  // namespace certwright::issuer_service
