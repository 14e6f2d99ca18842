#include "services/issuer/acme_rules.h"

#include <algorithm>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace certwright::issuer_service {
namespace {

// What the order service takes.
constexpr std::size_t kMaxNames = 100;
// A DNS name has 253 octets, of which "_acme-challenge." takes 16.
constexpr std::size_t kMaxDns01Name = 253 - 16;

constexpr char kOnlyDnsAndIp[] =
    "must be empty: an ACME server signs certificates for DNS names and IP addresses only";

bool Contains(const std::vector<std::string>& names, const absl::StatusOr<std::string>& name) {
  return name.ok() && std::ranges::find(names, *name) != names.end();
}

bool ProvesByDns01Only(const issuer::v1::AcmeIssuer& issuer) {
  return !issuer.solvers().empty() &&
         std::ranges::all_of(issuer.solvers(),
                             [](const auto& solver) { return solver.has_dns01(); });
}

void CheckLengths(const std::vector<std::string>& dns_names, bool dns01_only,
                  rpc::Violations& violations) {
  for (std::size_t i = 0; i < dns_names.size(); ++i) {
    const bool is_wildcard = absl::StartsWith(dns_names[i], "*.");
    const absl::string_view proven = absl::StripPrefix(dns_names[i], "*.");
    violations.Require(
        proven.size() <= kMaxDns01Name || !(is_wildcard || dns01_only),
        rpc::Indexed("spec.dnsNames", static_cast<int>(i)),
        absl::StrCat("must be at most ", kMaxDns01Name,
                     " characters, \"*.\" not counted, for the record of DNS-01 begins with "
                     "\"_acme-challenge.\""));
  }
}

}  // namespace

void CheckAcmeSigns(const AskedOfAcme& asked, const issuer::v1::AcmeIssuer& issuer,
                    rpc::Violations& violations) {
  const pki::SubjectAltNames& names = asked.names;
  violations.Require(!asked.is_ca, "spec.isCa",
                     "must be false: no ACME server signs a CA's certificate");
  violations.Require(names.uris.empty(), "spec.uris", kOnlyDnsAndIp);
  violations.Require(names.email_addresses.empty(), "spec.emailAddresses", kOnlyDnsAndIp);
  violations.Require(names.other_names.empty(), "spec.otherNames", kOnlyDnsAndIp);
  const std::size_t count = names.dns_names.size() + names.ip_addresses.size();
  violations.Require(
      count > 0, "spec.dnsNames",
      asked.common_name.empty()
          ? "must hold a name, or spec.ipAddresses an address, for an ACME server"
          : "must hold the common name or another, or spec.ipAddresses an address: an ACME "
            "server looks for names among the subject alternative names only");
  violations.Require(
      count <= kMaxNames, "spec.dnsNames",
      absl::StrCat("must be, with spec.ipAddresses, at most ", kMaxNames, " names"));
  violations.Require(
      asked.common_name.empty() ||
          Contains(names.dns_names, pki::NormalizeDnsName(asked.common_name)) ||
          Contains(names.ip_addresses, pki::NormalizeIpAddress(asked.common_name)),
      "spec.commonName", "must be one of the names for an ACME server to sign the request");
  CheckLengths(names.dns_names, ProvesByDns01Only(issuer), violations);
}

}  // namespace certwright::issuer_service
