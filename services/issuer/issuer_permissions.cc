#include "services/issuer/issuer_permissions.h"

#include <set>
#include <string>

#include "lib/service/permissions.h"

namespace certwright::issuer_service {
namespace {

using rpc::Effect;
using rpc::PermissionTable;
using rpc::Role;
using rpc::Scope;
using rpc::ServiceRole;
using service::Change;
using service::Only;
using service::Read;
using service::With;

const std::set<ServiceRole> kSigners = {ServiceRole::kOrder, ServiceRole::kSolver};

void AddIssuers(PermissionTable& table) {
  const std::string prefix = "certwright.issuer.v1.IssuerService.";
  table[prefix + "CreateIssuer"] = Change(Scope::kNamespace);
  table[prefix + "GetIssuer"] = Read(Scope::kNamespace);
  table[prefix + "ListIssuers"] = Read(Scope::kOneOrAllNamespaces);
  table[prefix + "UpdateIssuer"] = Change(Scope::kNamespace);
  table[prefix + "DeleteIssuer"] = Change(Scope::kNamespace);
  table[prefix + "WatchIssuers"] = With(kSigners, Read(Scope::kOneOrAllNamespaces));
  table[prefix + "CreateClusterIssuer"] = Change(Scope::kCluster);
  table[prefix + "GetClusterIssuer"] = Read(Scope::kCluster);
  table[prefix + "ListClusterIssuers"] = Read(Scope::kCluster);
  table[prefix + "UpdateClusterIssuer"] = Change(Scope::kCluster);
  table[prefix + "DeleteClusterIssuer"] = Change(Scope::kCluster);
  table[prefix + "WatchClusterIssuers"] = With(kSigners, Read(Scope::kCluster));
  table[prefix + "ResolveSolver"] =
      Only({ServiceRole::kSolver}, Scope::kIssuerRef, Effect::kReadsSecrets);
}

void AddCertificates(PermissionTable& table) {
  const std::string prefix = "certwright.issuer.v1.CertificateService.";
  for (const char* method :
       {"CreateCertificate", "UpdateCertificate", "DeleteCertificate", "RenewCertificate"}) {
    table[prefix + method] = Change(Scope::kNamespace, {Role::kRequester});
  }
  table[prefix + "RevokeCertificate"] = Change(Scope::kNamespace);
  for (const char* method : {"GetCertificate", "GetCertificateChain", "DescribeCertificate"}) {
    table[prefix + method] = Read(Scope::kNamespace);
  }
  for (const char* method : {"ListCertificates", "WatchCertificates"}) {
    table[prefix + method] = Read(Scope::kOneOrAllNamespaces);
  }
}

void AddRequests(PermissionTable& table) {
  const std::string prefix = "certwright.issuer.v1.CertificateRequestService.";
  for (const char* method : {"CreateCertificateRequest", "DeleteCertificateRequest"}) {
    table[prefix + method] = Change(Scope::kNamespace, {Role::kRequester});
  }
  for (const char* method : {"ApproveCertificateRequest", "DenyCertificateRequest"}) {
    table[prefix + method] = Change(Scope::kNamespace, {Role::kApprover});
  }
  table[prefix + "GetCertificateRequest"] = Read(Scope::kNamespace);
  for (const char* method : {"ListCertificateRequests", "WatchCertificateRequests"}) {
    table[prefix + method] = Read(Scope::kOneOrAllNamespaces);
  }
}

void AddSecrets(PermissionTable& table) {
  const std::string prefix = "certwright.issuer.v1.SecretService.";
  for (const char* method : {"CreateSecret", "UpdateSecret", "DeleteSecret"}) {
    table[prefix + method] = Change(Scope::kNamespace);
  }
  const std::set<Role> secret_readers = {Role::kSecretReader, Role::kAdmin};
  table[prefix + "GetSecret"] = {
      .roles = secret_readers, .scope = Scope::kNamespace, .effect = Effect::kReadsSecrets};
  table[prefix + "WatchSecrets"] = {.roles = secret_readers,
                                    .scope = Scope::kOneOrAllNamespaces,
                                    .effect = Effect::kReadsSecrets};
  // Shows the keys of the values only.
  table[prefix + "ListSecrets"] = Read(Scope::kOneOrAllNamespaces);
  table[prefix + "ListSecrets"].roles.insert(Role::kSecretReader);
}

void AddAccounts(PermissionTable& table) {
  const std::string prefix = "certwright.issuer.v1.AccountService.";
  table[prefix + "GetAccount"] = Read(Scope::kIssuerRef);
  table[prefix + "SignJws"] = Only(kSigners, Scope::kIssuerRef, Effect::kChanges);
  table[prefix + "RolloverAccountKey"] = Change(Scope::kIssuerRef);
  table[prefix + "DeactivateAccount"] = Change(Scope::kIssuerRef);
}

}  // namespace

PermissionTable IssuerPermissions() {
  PermissionTable table;
  AddIssuers(table);
  AddCertificates(table);
  AddRequests(table);
  AddSecrets(table);
  AddAccounts(table);
  table[service::kListEventsMethod] = Read(Scope::kOneOrAllNamespaces);
  return table;
}

}  // namespace certwright::issuer_service
