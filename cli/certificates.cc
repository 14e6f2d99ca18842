#include "cli/certificates.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/small_file.h"
#include "lib/base/new_file.h"
#include "lib/base/status_macros.h"
#include "lib/pki/sign.h"
#include "lib/pki/subject.h"

namespace certwright::cli {
namespace {

constexpr std::array<absl::string_view, 3> kServices = {"issuer", "order", "solver"};
constexpr char kCaName[] = "ca";
constexpr absl::Duration kCaLifetime = absl::Hours(24 * 3650);
// For clocks that are behind.
constexpr absl::Duration kBackdate = absl::Hours(1);

// What a certificate is for, before it is made.
struct Plan {
  std::string name;
  pki::SubjectAltNames names;
  bool serves = false;
};

bool IsService(absl::string_view name) {
  return std::find(kServices.begin(), kServices.end(), name) != kServices.end();
}

std::string PathOf(const CertificatesRequest& request, absl::string_view name,
                   absl::string_view ending) {
  return absl::StrCat(request.folder, "/", name, ending);
}

absl::Status AddHost(const std::string& service, const std::string& host,
                     pki::SubjectAltNames& names) {
  if (absl::StatusOr<std::string> address = pki::NormalizeIpAddress(host); address.ok()) {
    names.ip_addresses.push_back(*std::move(address));
    return absl::OkStatus();
  }
  CW_ASSIGN_OR_RETURN(std::string name, pki::NormalizeDnsName(host));
  if (IsService(name) && name != service) {
    return absl::InvalidArgumentError(
        absl::StrCat(service, " cannot be called ", name, ": that is another service"));
  }
  names.dns_names.push_back(std::move(name));
  return absl::OkStatus();
}

absl::StatusOr<Plan> PlanService(const std::string& service,
                                 const std::vector<std::string>& hosts) {
  Plan plan{service, {}, true};
  plan.names.dns_names = {service, "localhost"};
  plan.names.ip_addresses = {"127.0.0.1", "::1"};
  for (const std::string& host : hosts) {
    CW_RETURN_IF_ERROR(AddHost(service, host, plan.names));
  }
  CW_ASSIGN_OR_RETURN(plan.names, pki::NormalizeNames(plan.names));
  return plan;
}

absl::StatusOr<Plan> PlanClient(const std::string& client) {
  CW_ASSIGN_OR_RETURN(std::string name, pki::NormalizeDnsName(client));
  if (IsService(name) || name == kCaName || name == "localhost" || name[0] == '*') {
    return absl::InvalidArgumentError(absl::StrCat("a client cannot be called ", name));
  }
  Plan plan{name, {}, false};
  plan.names.dns_names = {std::move(name)};
  return plan;
}

// The plans of certificates that are there and that `plans` does not name.
absl::Status PlanRenewals(const CertificatesRequest& request,
                          std::map<std::string, Plan>& plans) {
  for (const auto& entry : std::filesystem::directory_iterator(request.folder)) {
    const std::string name = entry.path().stem();
    if (entry.path().extension() != ".crt" || name == kCaName) continue;
    const bool keeps_names =
        !plans.contains(name) || (IsService(name) && !request.hosts.contains(name));
    if (!keeps_names) continue;
    CW_ASSIGN_OR_RETURN(const std::string pem, ReadSmallFile(entry.path()));
    CW_ASSIGN_OR_RETURN(const auto chain, pki::ParseChainPem(pem));
    if (chain.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(entry.path().string(), " holds no certificate"));
    }
    plans[name] = Plan{name, chain.front().names, IsService(name)};
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, Plan>> MakePlans(const CertificatesRequest& request) {
  std::map<std::string, Plan> plans;
  for (const auto& [service, hosts] : request.hosts) {
    if (!IsService(service)) {
      return absl::InvalidArgumentError(
          absl::StrCat(service, " is no service: --name is for issuer, order and solver"));
    }
  }
  for (const absl::string_view service : kServices) {
    const std::string name(service);
    const auto hosts = request.hosts.find(name);
    CW_ASSIGN_OR_RETURN(
        plans[name], PlanService(name, hosts == request.hosts.end() ? std::vector<std::string>()
                                                                    : hosts->second));
  }
  for (const std::string& client : request.clients) {
    CW_ASSIGN_OR_RETURN(Plan plan, PlanClient(client));
    plans[plan.name] = plan;
  }
  if (request.renew) CW_RETURN_IF_ERROR(PlanRenewals(request, plans));
  return plans;
}

absl::Status CheckNothingThere(const CertificatesRequest& request,
                               const std::map<std::string, Plan>& plans) {
  std::set<std::string> names = {kCaName};
  for (const auto& [name, plan] : plans) names.insert(name);
  for (const std::string& name : names) {
    for (const char* ending : {".crt", ".key"}) {
      const std::string path = PathOf(request, name, ending);
      if (!std::filesystem::exists(path)) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          path, " exists; --renew makes new certificates of the CA that is there"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SubjectOf(const std::string& common_name) {
  pki::Subject subject;
  subject.common_name = common_name;
  return pki::EncodeSubject(subject);
}

absl::StatusOr<pki::SigningCa> MakeCa(const CertificatesRequest& request) {
  CW_ASSIGN_OR_RETURN(pki::PrivateKey key, pki::PrivateKey::Generate({}));
  pki::CertificateTemplate values;
  CW_ASSIGN_OR_RETURN(values.subject_der, SubjectOf("Certwright private CA"));
  values.usages = {"cert sign", "crl sign"};
  values.is_ca = true;
  values.not_before = request.now - kBackdate;
  values.not_after = request.now + kCaLifetime;
  CW_ASSIGN_OR_RETURN(pki::Certificate certificate, pki::SelfSign(key, std::move(values)));
  return pki::SigningCa{std::move(certificate), {}, std::move(key)};
}

absl::StatusOr<pki::SigningCa> ReadCa(const CertificatesRequest& request) {
  CW_ASSIGN_OR_RETURN(const std::string pem, ReadSmallFile(PathOf(request, kCaName, ".crt")));
  CW_ASSIGN_OR_RETURN(const auto chain, pki::ParseChainPem(pem));
  if (chain.size() != 1) {
    return absl::FailedPreconditionError("ca.crt must hold exactly one certificate");
  }
  CW_ASSIGN_OR_RETURN(std::string key_pem, ReadSmallFile(PathOf(request, kCaName, ".key")));
  const base::Secret secret(std::move(key_pem));
  CW_ASSIGN_OR_RETURN(pki::PrivateKey key, pki::PrivateKey::ParsePem(secret.Reveal()));
  pki::SigningCa ca{chain.front(), {}, std::move(key)};
  CW_RETURN_IF_ERROR(pki::CheckSigningCa(ca, request.now));
  return ca;
}

absl::StatusOr<std::vector<std::string>> WritePair(const CertificatesRequest& request,
                                                   const std::string& name,
                                                   const pki::Certificate& certificate,
                                                   const pki::PrivateKey& key) {
  const std::string key_path = PathOf(request, name, ".key");
  const std::string certificate_path = PathOf(request, name, ".crt");
  CW_RETURN_IF_ERROR(base::ReplaceFile(key_path, key.ToPem().Reveal()));
  CW_RETURN_IF_ERROR(base::ReplaceFile(certificate_path, certificate.Pem()));
  return std::vector<std::string>{certificate_path, key_path};
}

absl::StatusOr<std::vector<std::string>> Issue(const CertificatesRequest& request,
                                               const pki::SigningCa& ca, const Plan& plan) {
  CW_ASSIGN_OR_RETURN(const pki::PrivateKey key, pki::PrivateKey::Generate({}));
  pki::CertificateTemplate values;
  values.public_key = key.public_key();
  CW_ASSIGN_OR_RETURN(values.subject_der, SubjectOf(plan.name.substr(0, 64)));
  values.names = plan.names;
  values.usages = {"digital signature", "client auth"};
  if (plan.serves) values.usages.push_back("server auth");
  values.not_before = std::max(request.now - kBackdate, ca.certificate.not_before);
  values.not_after = request.now + request.lifetime;
  CW_ASSIGN_OR_RETURN(const pki::Certificate certificate, pki::SignCertificate(ca, values));
  return WritePair(request, plan.name, certificate, key);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> MakeCertificates(const CertificatesRequest& request) {
  if (!request.renew && mkdir(request.folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", request.folder));
  }
  if (!std::filesystem::is_directory(request.folder)) {
    return absl::FailedPreconditionError(absl::StrCat(request.folder, " is no folder"));
  }
  CW_ASSIGN_OR_RETURN(const auto plans, MakePlans(request));
  std::vector<std::string> written;
  if (!request.renew) CW_RETURN_IF_ERROR(CheckNothingThere(request, plans));
  CW_ASSIGN_OR_RETURN(const pki::SigningCa ca,
                      request.renew ? ReadCa(request) : MakeCa(request));
  if (!request.renew) {
    CW_ASSIGN_OR_RETURN(written, WritePair(request, kCaName, ca.certificate, ca.key));
  }
  for (const auto& [name, plan] : plans) {
    CW_ASSIGN_OR_RETURN(const std::vector<std::string> files, Issue(request, ca, plan));
    written.insert(written.end(), files.begin(), files.end());
  }
  return written;
}

}  // namespace certwright::cli
