#include "services/issuer/issuer_validation.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/acme/url.h"
#include "lib/dns/name.h"
#include "lib/dns/server_address.h"
#include "lib/pki/certificate.h"
#include "lib/pki/names.h"
#include "services/issuer/vault_exchange.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::AcmeIssuer;
using issuer::v1::AcmeSolver;
using rpc::Indexed;
using rpc::Violations;

constexpr int kMaxSolvers = 100;
constexpr int kMaxNameservers = 8;
constexpr int kMaxAliasZones = 100;
constexpr std::size_t kMaxCaBundle = 256 << 10;
constexpr std::size_t kMaxPreferredChain = 64;
constexpr int64_t kDefaultDeadline = 600;
constexpr int64_t kMaxDeadline = 24 * 3600;
constexpr int kDefaultTtl = 60;
constexpr int kMaxUrls = 16;
constexpr int32_t kMaxLimit = 1'000'000;
constexpr int64_t kMaxLimitWindow = 31 * 24 * 3600;
constexpr std::size_t kMaxRoleId = 1024;

void DefaultKey(meta::v1::SecretKeyRef& ref, const char* key) {
  if (ref.key().empty()) ref.set_key(key);
}

void CheckSecretRef(const meta::v1::SecretKeyRef& ref, const std::string& field,
                    Violations& violations) {
  rpc::CheckName(ref.name(), field + ".name", violations);
}

// Brings the bundle into the one spelling that libcurl, which reads less than we do, takes.
void NormalizeCaBundle(std::string& pem, const char* field, Violations& violations) {
  if (pem.empty()) return;
  const auto certificates = pem.size() <= kMaxCaBundle
                                ? pki::ParseChainPem(pem)
                                : absl::InvalidArgumentError("it is longer");
  if (certificates.ok()) {
    pem = pki::ToPem(*certificates);
  } else {
    violations.Add(field, absl::StrCat("must be PEM certificates, at most 256 KiB: ",
                                       certificates.status().message()));
  }
}

void ValidateSelector(issuer::v1::Selector& selector, const std::string& field,
                      Violations& violations) {
  for (const auto& [key, value] : selector.match_labels()) {
    violations.Require(rpc::IsLabelKey(key) && rpc::IsLabelValue(value), field + ".matchLabels",
                       "must hold keys and values of labels");
  }
  const auto normalize = [&](auto& names, const char* name) {
    for (int i = 0; i < names.size(); ++i) {
      const auto normalized = pki::NormalizeDnsName(names[i]);
      if (normalized.ok()) {
        names[i] = *normalized;
      } else {
        violations.Add(Indexed(absl::StrCat(field, ".", name), i),
                       normalized.status().message());
      }
    }
  };
  normalize(*selector.mutable_dns_names(), "dnsNames");
  normalize(*selector.mutable_dns_zones(), "dnsZones");
}

void ValidateSelfCheck(issuer::v1::SelfCheck& check, const std::string& field,
                       Violations& violations) {
  if (check.mode() == issuer::v1::SELF_CHECK_MODE_UNSPECIFIED) {
    check.set_mode(issuer::v1::SELF_CHECK_MODE_AUTHORITATIVE);
  }
  for (int i = 0; i < check.nameservers_size(); ++i) {
    violations.Require(dns::ParseServerAddress(check.nameservers(i)).ok(),
                       Indexed(field + ".nameservers", i),
                       "must be an IP address with an optional port");
  }
  if (!check.has_deadline()) check.mutable_deadline()->set_seconds(kDefaultDeadline);
  violations.Require(
      check.deadline().seconds() >= 1 && check.deadline().seconds() <= kMaxDeadline,
      field + ".deadline", "must be between 1 s and 24 h");
  violations.Require(!check.has_wait() || check.mode() == issuer::v1::SELF_CHECK_MODE_NONE,
                     field + ".wait", "is only for mode NONE");
  for (const auto& [duration, name] :
       {std::pair(check.wait(), "wait"), std::pair(check.settle(), "settle")}) {
    violations.Require(duration.seconds() >= 0 && duration.nanos() >= 0 &&
                           duration.seconds() <= check.deadline().seconds(),
                       absl::StrCat(field, ".", name),
                       "must not be negative or beyond the deadline");
  }
}

void ValidateRfc2136(issuer::v1::Rfc2136& rfc2136, const std::string& field,
                     Violations& violations) {
  violations.Require(
      rfc2136.nameservers_size() >= 1 && rfc2136.nameservers_size() <= kMaxNameservers,
      field + ".nameservers", "must be 1 to 8");
  for (int i = 0; i < rfc2136.nameservers_size(); ++i) {
    violations.Require(dns::ParseNameserver(rfc2136.nameservers(i)).ok(),
                       Indexed(field + ".nameservers", i),
                       "must be \"host\", \"host:port\" or \"[IPv6]:port\"");
  }
  if (rfc2136.tsig_algorithm() == issuer::v1::TSIG_ALGORITHM_UNSPECIFIED) {
    rfc2136.set_tsig_algorithm(issuer::v1::TSIG_ALGORITHM_HMAC_SHA256);
  }
  if (rfc2136.protocol() == issuer::v1::DNS_PROTOCOL_UNSPECIFIED) {
    rfc2136.set_protocol(issuer::v1::DNS_PROTOCOL_UDP);
  }
  if (rfc2136.tsig_key_name().empty()) {
    violations.Require(!rfc2136.has_tsig_secret_secret_ref(), field + ".tsigKeyName",
                       "is required with tsigSecretSecretRef");
  } else {
    violations.Require(dns::Normalize(rfc2136.tsig_key_name()).ok(), field + ".tsigKeyName",
                       "must be a domain name, as the server has it");
    DefaultKey(*rfc2136.mutable_tsig_secret_secret_ref(), "tsig-secret");
    CheckSecretRef(rfc2136.tsig_secret_secret_ref(), field + ".tsigSecretSecretRef",
                   violations);
  }
  if (!rfc2136.zone().empty()) {
    const auto zone = pki::NormalizeDnsName(rfc2136.zone());
    if (zone.ok()) {
      rfc2136.set_zone(*zone);
    } else {
      violations.Add(field + ".zone", zone.status().message());
    }
  }
}

void ValidateDns01(issuer::v1::Dns01Solver& dns01, const std::string& field,
                   Violations& violations) {
  if (dns01.cname_strategy() == issuer::v1::CNAME_STRATEGY_UNSPECIFIED) {
    dns01.set_cname_strategy(issuer::v1::CNAME_STRATEGY_FOLLOW);
  }
  violations.Require(dns01.alias_zones_size() <= kMaxAliasZones, field + ".aliasZones",
                     "must be at most 100");
  for (int i = 0; i < dns01.alias_zones_size(); ++i) {
    const auto zone = dns::Normalize(dns01.alias_zones(i));
    if (zone.ok() && !zone->empty()) {
      dns01.set_alias_zones(i, *zone);
    } else {
      violations.Add(Indexed(field + ".aliasZones", i), "must be the name of a DNS zone");
    }
  }
  if (!dns01.has_ttl()) dns01.mutable_ttl()->set_seconds(kDefaultTtl);
  violations.Require(dns01.ttl().seconds() >= 0 && dns01.ttl().seconds() <= 86400,
                     field + ".ttl", "must be between 0 and 1 day");
  if (dns01.provider_case() == issuer::v1::Dns01Solver::PROVIDER_NOT_SET) {
    violations.Add(field, "a provider is required, for example rfc2136");
  } else if (dns01.has_rfc2136()) {
    ValidateRfc2136(*dns01.mutable_rfc2136(), field + ".rfc2136", violations);
  }
}

void ValidateSolver(AcmeSolver& solver, int index, std::set<std::string>& names,
                    Violations& violations) {
  const std::string field = Indexed("spec.acme.solvers", index);
  if (solver.name().empty()) solver.set_name(absl::StrCat("solver-", index + 1));
  rpc::CheckName(solver.name(), field + ".name", violations);
  violations.Require(names.insert(solver.name()).second, field + ".name",
                     "must be unique within the issuer");
  if (solver.has_selector()) {
    ValidateSelector(*solver.mutable_selector(), field + ".selector", violations);
  }
  ValidateSelfCheck(*solver.mutable_self_check(), field + ".selfCheck", violations);
  switch (solver.solver_case()) {
    case AcmeSolver::kHttp01:
      violations.Require(
          solver.http01().self_check_port() >= 0 && solver.http01().self_check_port() <= 65535,
          field + ".http01.selfCheckPort", "must be a port");
      break;
    case AcmeSolver::kDns01:
      ValidateDns01(*solver.mutable_dns01(), field + ".dns01", violations);
      break;
    case AcmeSolver::SOLVER_NOT_SET:
      violations.Add(field, "http01 or dns01 is required");
  }
}

void ValidateRateLimits(const issuer::v1::RateLimits& limits, Violations& violations) {
  const auto check = [&violations](int32_t count, bool has_window,
                                   const google::protobuf::Duration& window, const char* name) {
    const std::string field = absl::StrCat("spec.acme.rateLimits.", name);
    violations.Require(count >= 0 && count <= kMaxLimit, field,
                       "must be between 0 (the default) and 1000000");
    violations.Require(!has_window || (window.seconds() >= 1 && window.nanos() >= 0 &&
                                       window.seconds() <= kMaxLimitWindow),
                       field + "Window", "must be between 1 s and 31 days");
  };
  check(limits.orders(), limits.has_orders_window(), limits.orders_window(), "orders");
  check(limits.certificates_per_domain(), limits.has_certificates_per_domain_window(),
        limits.certificates_per_domain_window(), "certificatesPerDomain");
  check(limits.certificates_per_name_set(), limits.has_certificates_per_name_set_window(),
        limits.certificates_per_name_set_window(), "certificatesPerNameSet");
  check(limits.failed_validations(), limits.has_failed_validations_window(),
        limits.failed_validations_window(), "failedValidations");
}

void ValidateAcme(const std::string& issuer_name, AcmeIssuer& acme, Violations& violations) {
  violations.Require(acme::IsHttpsUrl(acme.server()), "spec.acme.server",
                     "must be the https URL of an ACME directory");
  if (!acme.email().empty()) {
    violations.Require(pki::MailtoUrl(acme.email()).ok(), "spec.acme.email",
                       "must be one e-mail address");
  }
  meta::v1::SecretKeyRef& key = *acme.mutable_private_key_secret_ref();
  if (key.name().empty()) key.set_name(absl::StrCat(issuer_name.substr(0, 50), "-account-key"));
  DefaultKey(key, "tls.key");
  CheckSecretRef(key, "spec.acme.privateKeySecretRef", violations);
  if (acme.account_key_algorithm() == issuer::v1::ACCOUNT_KEY_ALGORITHM_UNSPECIFIED) {
    acme.set_account_key_algorithm(issuer::v1::ACCOUNT_KEY_ALGORITHM_ECDSA_P256);
  }
  if (acme.has_external_account_binding()) {
    const std::string field = "spec.acme.externalAccountBinding";
    auto& binding = *acme.mutable_external_account_binding();
    violations.Require(!binding.key_id().empty(), field + ".keyId", "is required");
    DefaultKey(*binding.mutable_key_secret_ref(), "secret");
    CheckSecretRef(binding.key_secret_ref(), field + ".keySecretRef", violations);
  }
  violations.Require(acme.preferred_chain().size() <= kMaxPreferredChain,
                     "spec.acme.preferredChain", "must be at most 64 characters");
  NormalizeCaBundle(*acme.mutable_ca_bundle(), "spec.acme.caBundle", violations);
  if (acme.renewal_information() == issuer::v1::RENEWAL_INFORMATION_UNSPECIFIED) {
    acme.set_renewal_information(issuer::v1::RENEWAL_INFORMATION_ARI);
  }
  if (acme.has_rate_limits()) ValidateRateLimits(acme.rate_limits(), violations);
  violations.Require(acme.solvers_size() <= kMaxSolvers, "spec.acme.solvers",
                     "must be at most 100");
  std::set<std::string> names;
  for (int i = 0; i < acme.solvers_size(); ++i) {
    ValidateSolver(*acme.mutable_solvers(i), i, names, violations);
  }
}

bool IsPublishedUrl(const std::string& url) {
  constexpr absl::string_view kSchemes[] = {"http://", "https://", "ldap://", "ldaps://"};
  const auto normal = pki::NormalizeUri(url);
  return normal.ok() && std::ranges::any_of(kSchemes, [&](absl::string_view scheme) {
           return absl::StartsWith(*normal, scheme);
         });
}

// URLs that certificates are to hold.
void ValidateUrls(const google::protobuf::RepeatedPtrField<std::string>& urls,
                  const std::string& field, Violations& violations) {
  violations.Require(urls.size() <= kMaxUrls, field, "must be at most 16");
  std::set<std::string> seen;
  for (int i = 0; i < urls.size(); ++i) {
    violations.Require(IsPublishedUrl(urls[i]), Indexed(field, i),
                       "must be an absolute URL of http, https, ldap or ldaps");
    violations.Require(seen.insert(urls[i]).second, Indexed(field, i), "must be there once");
  }
}

void ValidateCa(const issuer::v1::CaIssuer& ca, Violations& violations) {
  rpc::CheckName(ca.secret_name(), "spec.ca.secretName", violations);
  ValidateUrls(ca.crl_distribution_points(), "spec.ca.crlDistributionPoints", violations);
  ValidateUrls(ca.ocsp_servers(), "spec.ca.ocspServers", violations);
  ValidateUrls(ca.issuing_certificate_urls(), "spec.ca.issuingCertificateUrls", violations);
}

// Brings `path` into its one spelling.
void ValidateVaultPath(std::string& path, const std::string& field, Violations& violations) {
  const auto normal = NormalizeVaultPath(path, "it");
  if (!normal.ok()) return violations.Add(field, normal.status().message());
  path = *normal;
}

void ValidateVault(issuer::v1::VaultIssuer& vault, Violations& violations) {
  violations.Require(MakeVaultServer(vault.server(), "", "", /*allow_http=*/false).ok(),
                     "spec.vault.server", "must be the https URL of a Vault server");
  ValidateVaultPath(*vault.mutable_path(), "spec.vault.path", violations);
  if (!vault.namespace_().empty()) {
    ValidateVaultPath(*vault.mutable_namespace_(), "spec.vault.namespace", violations);
  }
  NormalizeCaBundle(*vault.mutable_ca_bundle(), "spec.vault.caBundle", violations);
  switch (vault.auth_case()) {
    case issuer::v1::VaultIssuer::kTokenSecretRef:
      DefaultKey(*vault.mutable_token_secret_ref(), "token");
      CheckSecretRef(vault.token_secret_ref(), "spec.vault.tokenSecretRef", violations);
      break;
    case issuer::v1::VaultIssuer::kAppRole: {
      issuer::v1::VaultAppRole& role = *vault.mutable_app_role();
      if (role.path().empty()) role.set_path("approle");
      ValidateVaultPath(*role.mutable_path(), "spec.vault.appRole.path", violations);
      violations.Require(!role.role_id().empty() && role.role_id().size() <= kMaxRoleId,
                         "spec.vault.appRole.roleId", "is required, and must be at most 1 KiB");
      DefaultKey(*role.mutable_secret_ref(), "secretId");
      CheckSecretRef(role.secret_ref(), "spec.vault.appRole.secretRef", violations);
      break;
    }
    case issuer::v1::VaultIssuer::AUTH_NOT_SET:
      violations.Add("spec.vault", "tokenSecretRef or appRole is required");
  }
}

}  // namespace

void ValidateIssuerSpec(const std::string& issuer_name, issuer::v1::IssuerSpec& spec,
                        Violations& violations) {
  if (spec.has_acme()) {
    ValidateAcme(issuer_name, *spec.mutable_acme(), violations);
  } else if (spec.has_ca()) {
    ValidateCa(spec.ca(), violations);
  } else if (spec.has_self_signed()) {
    ValidateUrls(spec.self_signed().crl_distribution_points(),
                 "spec.selfSigned.crlDistributionPoints", violations);
  } else if (spec.has_vault()) {
    ValidateVault(*spec.mutable_vault(), violations);
  } else if (spec.issuer_case() == issuer::v1::IssuerSpec::ISSUER_NOT_SET) {
    violations.Add("spec", "acme, ca, selfSigned or vault is required");
  }
}

absl::Status CheckIssuerIsServed(const issuer::v1::IssuerSpec& spec) {
  for (int i = 0; i < spec.acme().solvers_size(); ++i) {
    const AcmeSolver& solver = spec.acme().solvers(i);
    if (solver.has_dns01() && !solver.dns01().has_rfc2136()) {
      return absl::UnimplementedError(
          absl::StrCat(Indexed("spec.acme.solvers", i),
                       ".dns01: this version serves the provider rfc2136 only"));
    }
  }
  return absl::OkStatus();
}

std::vector<meta::v1::SecretKeyRef> SecretRefsOf(const AcmeSolver& solver) {
  std::vector<meta::v1::SecretKeyRef> refs;
  if (solver.dns01().has_rfc2136() && solver.dns01().rfc2136().has_tsig_secret_secret_ref()) {
    refs.push_back(solver.dns01().rfc2136().tsig_secret_secret_ref());
  }
  return refs;
}

}  // namespace certwright::issuer_service
