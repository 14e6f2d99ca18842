#include "services/issuer/signing_issuers.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "lib/base/secret.h"
#include "lib/base/status_macros.h"
#include "lib/pki/certificate.h"
#include "lib/pki/key.h"
#include "lib/rpc/status.h"
#include "lib/service/conditions.h"
#include "services/issuer/request_defaults.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateRequest;
using issuer::v1::Secret;

constexpr absl::Duration kReadyVaultCheck = absl::Minutes(10);
constexpr absl::Duration kUnavailableVaultCheck = absl::Seconds(30);
constexpr std::size_t kMaxKnownVaults = 1000;

// Taken out of `secret`; NOT_FOUND if it is not there.
absl::StatusOr<base::Secret> TakeValue(Secret& secret, const std::string& key) {
  auto value = secret.mutable_data()->find(key);
  if (value == secret.mutable_data()->end() || value->second.empty()) {
    return absl::NotFoundError(absl::StrCat("Secret ", secret.metadata().namespace_(), "/",
                                            secret.metadata().name(), " has no value ", key));
  }
  return base::Secret(std::move(value->second));
}

void Wipe(Secret& secret) {
  for (auto& [key, value] : *secret.mutable_data()) base::Wipe(value);
}

std::vector<std::string> Strings(const google::protobuf::RepeatedPtrField<std::string>& field) {
  return {field.begin(), field.end()};
}

std::vector<pki::Certificate> WholeChain(const pki::SigningCa& ca) {
  std::vector<pki::Certificate> chain = {ca.certificate};
  chain.insert(chain.end(), ca.chain.begin(), ca.chain.end());
  return chain;
}

// What is there to trust: the end of the CA's own chain, or what ca.crt adds to it.
absl::StatusOr<std::string> FindTopmost(const pki::SigningCa& ca, const std::string& ca_crt,
                                        absl::Time now) {
  const std::vector<pki::Certificate> chain = WholeChain(ca);
  const pki::Certificate& topmost = pki::TopmostCertificate(chain);
  CW_RETURN_IF_ERROR(pki::VerifyAgainstRoots(chain, {topmost}, now));
  if (ca_crt.empty() || topmost.subject == topmost.issuer) return topmost.Pem();
  const auto roots = pki::ParseChainPem(ca_crt);
  if (!roots.ok() || !pki::VerifyAgainstRoots(chain, *roots, now).ok()) return topmost.Pem();
  return roots->front().Pem();
}

absl::Duration DurationOf(const CertificateRequest& request) {
  return request.spec().has_duration() ? service::FromProto(request.spec().duration())
                                       : kDefaultDuration;
}

// An issuer that is not as it has to be is no fault of the request.
absl::Status NotNow(const absl::Status& status) {
  if (!absl::IsInvalidArgument(status) && !absl::IsPermissionDenied(status)) return status;
  return absl::FailedPreconditionError(status.message());
}

// The request's fault, whatever the code.
absl::Status Never(const absl::Status& status) {
  return absl::InvalidArgumentError(status.message());
}

absl::StatusOr<VaultOptions> VaultOptionsOf(const issuer::v1::VaultIssuer& spec,
                                            Secret& secret) {
  VaultOptions options;
  options.server = spec.server();
  options.path = spec.path();
  options.vault_namespace = spec.namespace_();
  options.ca_bundle_pem = spec.ca_bundle();
  if (spec.has_app_role()) {
    options.auth.app_role.emplace();
    options.auth.app_role->path = spec.app_role().path();
    options.auth.app_role->role_id = spec.app_role().role_id();
    CW_ASSIGN_OR_RETURN(options.auth.app_role->secret_id,
                        TakeValue(secret, spec.app_role().secret_ref().key()));
  } else {
    CW_ASSIGN_OR_RETURN(options.auth.token, TakeValue(secret, spec.token_secret_ref().key()));
  }
  return options;
}

}  // namespace

bool SigningIssuers::IsFinal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsPermissionDenied(status);
}

runtime::Awaitable<absl::StatusOr<SigningIssuers::Signed>> SigningIssuers::Sign(
    runtime::Context context, Request request, AnyIssuer issuer) {
  CW_CO_ASSIGN_OR_RETURN(pki::Csr csr, pki::ParseCsrPem(request.spec().request()));
  if (csr.is_ca && !request.spec().is_ca()) {
    co_return absl::InvalidArgumentError(
        "spec.request asks for a CA's certificate, and spec.isCa does not");
  }
  if (issuer.spec.has_ca()) {
    co_return co_await SignByCa(context, std::move(request), std::move(csr), std::move(issuer));
  }
  if (issuer.spec.has_self_signed()) {
    co_return co_await SignBySelf(context, std::move(request), std::move(csr),
                                  std::move(issuer));
  }
  if (issuer.spec.has_vault()) {
    co_return co_await SignByVault(context, std::move(request), std::move(csr),
                                   std::move(issuer));
  }
  co_return absl::FailedPreconditionError("the issuer is of no kind that signs by itself");
}

pki::CertificateTemplate SigningIssuers::TemplateFor(const Request& request,
                                                     const pki::Csr& csr) const {
  pki::CertificateTemplate values = pki::TemplateFromCsr(csr);
  values.is_ca = request.spec().is_ca();
  if (request.spec().usages_size() > 0) values.usages = Strings(request.spec().usages());
  if (values.usages.empty()) {
    values.usages.assign(kDefaultUsages.begin(), kDefaultUsages.end());
  }
  values.not_before = environment_.clock().Now();
  values.not_after = values.not_before + DurationOf(request);
  return values;
}

runtime::Awaitable<absl::StatusOr<SigningIssuers::Signed>> SigningIssuers::SignByCa(
    runtime::Context context, Request request, pki::Csr csr, AnyIssuer issuer) {
  CW_CO_ASSIGN_OR_RETURN(const Authority authority, co_await LoadAuthority(context, issuer));
  const issuer::v1::CaIssuer& spec = issuer.spec.ca();
  pki::CertificateTemplate values = TemplateFor(request, csr);
  values.crl_distribution_points = Strings(spec.crl_distribution_points());
  values.ocsp_servers = Strings(spec.ocsp_servers());
  values.issuing_certificate_urls = Strings(spec.issuing_certificate_urls());
  const auto certificate = pki::SignCertificate(authority.ca, values);
  // The CA itself was found fit.
  if (!certificate.ok()) co_return Never(certificate.status());
  std::vector<pki::Certificate> path = WholeChain(authority.ca);
  const pki::Certificate topmost = pki::TopmostCertificate(path);
  path.insert(path.begin(), *certificate);
  // What no verifier would accept, such as a name that the CA's name constraints exclude, must
  // not be handed out.
  const absl::Status verified = pki::VerifyAgainstRoots(path, {topmost}, values.not_before);
  if (!verified.ok()) {
    co_return Never(base::Annotate(verified, "the CA may not sign what the request asks for"));
  }
  Signed result;
  result.certificate_pem = pki::ToPem(pki::ServedChain(authority.ca, *certificate));
  result.ca_pem = authority.ca_pem;
  co_return result;
}

runtime::Awaitable<absl::StatusOr<std::string>> SigningIssuers::FindKeySecret(
    runtime::Context context, const Request& request) {
  const meta::v1::OwnerReference& owner = request.metadata().owner();
  if (owner.kind() == "Certificate") {
    const auto certificate = co_await stores_.certificates.Get(
        context, request.metadata().namespace_(), owner.name());
    if (!certificate.ok() && !absl::IsNotFound(certificate.status())) {
      co_return certificate.status();
    }
    if (certificate.ok() && certificate->metadata().uid() == owner.uid() &&
        certificate->status().certificate_request_name() == request.metadata().name()) {
      co_return certificate->status().next_private_key_secret_name();
    }
    co_return absl::UnavailableError(
        absl::StrCat("the Certificate ", owner.name(), " no longer waits for this request"));
  }
  const auto& annotations = request.metadata().annotations();
  const auto named = annotations.find(kPrivateKeySecretAnnotation);
  if (named != annotations.end() && !named->second.empty()) co_return named->second;
  co_return absl::InvalidArgumentError(
      absl::StrCat("a self-signed certificate needs the private key of its request: name the "
                   "Secret that holds it as tls.key in the request's annotation ",
                   kPrivateKeySecretAnnotation));
}

runtime::Awaitable<absl::StatusOr<SigningIssuers::Signed>> SigningIssuers::SignBySelf(
    runtime::Context context, Request request, pki::Csr csr, AnyIssuer issuer) {
  CW_CO_ASSIGN_OR_RETURN(const std::string secret_name,
                         co_await FindKeySecret(context, request));
  absl::StatusOr<Secret> secret =
      co_await ReadSecret(context, request.metadata().namespace_(), secret_name);
  if (!secret.ok()) co_return secret.status();
  const absl::Cleanup wipe = [&secret] { Wipe(*secret); };
  CW_CO_ASSIGN_OR_RETURN(const base::Secret pem, TakeValue(*secret, kPrivateKeyKey));
  CW_CO_ASSIGN_OR_RETURN(const pki::PrivateKey key, pki::PrivateKey::ParsePem(pem.Reveal()));
  if (!(key.public_key() == csr.public_key)) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("the key in the Secret ", secret_name,
                     " is not the one that the request was made with"));
  }
  pki::CertificateTemplate values = TemplateFor(request, csr);
  values.crl_distribution_points = Strings(issuer.spec.self_signed().crl_distribution_points());
  const auto certificate = pki::SelfSign(key, std::move(values));
  if (!certificate.ok()) co_return Never(certificate.status());
  Signed result;
  result.certificate_pem = certificate->Pem();
  result.ca_pem = result.certificate_pem;
  co_return result;
}

runtime::Awaitable<absl::StatusOr<SigningIssuers::Signed>> SigningIssuers::SignByVault(
    runtime::Context context, Request request, pki::Csr csr, AnyIssuer issuer) {
  auto client = co_await FindVault(context, issuer);
  if (!client.ok()) co_return NotNow(client.status());
  VaultSignRequest asked;
  asked.csr_pem = request.spec().request();
  asked.common_name = csr.subject.common_name;
  asked.names = csr.names;
  asked.duration = DurationOf(request);
  asked.is_ca = request.spec().is_ca();
  CW_CO_ASSIGN_OR_RETURN(const VaultCertificate made,
                         co_await (*client)->Sign(context, std::move(asked)));
  Signed result;
  result.certificate_pem = made.certificate_pem;
  for (const std::string& above : made.chain_pem) {
    absl::StrAppend(&result.certificate_pem, above);
  }
  result.ca_pem = made.ca_pem;
  co_return result;
}

runtime::Awaitable<absl::StatusOr<Secret>> SigningIssuers::ReadSecret(
    runtime::Context context, std::string resource_namespace, std::string name) {
  absl::StatusOr<Secret> secret =
      co_await stores_.secrets.Get(context, resource_namespace, name);
  if (!absl::IsNotFound(secret.status())) co_return secret;
  co_return rpc::NotFound("Secret", resource_namespace, name);
}

runtime::Awaitable<absl::StatusOr<SigningIssuers::Authority>> SigningIssuers::LoadAuthority(
    runtime::Context context, const AnyIssuer& issuer) {
  const std::string secret_namespace =
      accounts_.SecretNamespace(issuer.ref, issuer.metadata.namespace_());
  absl::StatusOr<Secret> secret =
      co_await ReadSecret(context, secret_namespace, issuer.spec.ca().secret_name());
  if (!secret.ok()) co_return NotNow(secret.status());
  const absl::Cleanup wipe = [&secret] { Wipe(*secret); };
  const std::string where =
      absl::StrCat("Secret ", secret_namespace, "/", issuer.spec.ca().secret_name());
  if (secret->metadata().annotations().contains(kTemporaryAnnotation)) {
    co_return absl::FailedPreconditionError(
        absl::StrCat(where, " holds only a temporary certificate"));
  }
  CW_CO_ASSIGN_OR_RETURN(const base::Secret chain_pem, TakeValue(*secret, kCertificateKey));
  CW_CO_ASSIGN_OR_RETURN(const base::Secret key_pem, TakeValue(*secret, kPrivateKeyKey));
  auto chain = pki::ParseChainPem(chain_pem.Reveal());
  if (!chain.ok()) co_return NotNow(base::Annotate(chain.status(), where));
  auto key = pki::PrivateKey::ParsePem(key_pem.Reveal());
  if (!key.ok()) co_return NotNow(base::Annotate(key.status(), where));
  chain = pki::ChainFromLeaf(*std::move(chain), key->public_key());
  if (!chain.ok()) co_return base::Annotate(chain.status(), where);
  pki::Certificate first = chain->front();
  chain->erase(chain->begin());
  Authority authority{{std::move(first), *std::move(chain), *std::move(key)}, ""};
  const absl::Time now = environment_.clock().Now();
  const absl::Status fit = pki::CheckSigningCa(authority.ca, now);
  if (!fit.ok()) co_return base::Annotate(fit, where);
  const auto ca_crt = secret->data().find(kCaKey);
  auto topmost =
      FindTopmost(authority.ca, ca_crt == secret->data().end() ? "" : ca_crt->second, now);
  if (!topmost.ok()) co_return NotNow(base::Annotate(topmost.status(), where));
  authority.ca_pem = *std::move(topmost);
  co_return authority;
}

runtime::Awaitable<absl::StatusOr<std::shared_ptr<VaultClient>>> SigningIssuers::FindVault(
    runtime::Context context, const AnyIssuer& issuer) {
  const issuer::v1::VaultIssuer& spec = issuer.spec.vault();
  const meta::v1::SecretKeyRef ref =
      spec.has_app_role() ? spec.app_role().secret_ref() : spec.token_secret_ref();
  const std::string secret_namespace =
      accounts_.SecretNamespace(issuer.ref, issuer.metadata.namespace_());
  CW_CO_ASSIGN_OR_RETURN(Secret secret,
                         co_await ReadSecret(context, secret_namespace, ref.name()));
  const absl::Cleanup wipe = [&secret] { Wipe(secret); };
  const std::string version =
      absl::StrCat(issuer.metadata.generation(), "/", secret.metadata().uid(), "/",
                   secret.metadata().resource_version());
  {
    base::MutexLock lock(mutex_);
    const auto known = vaults_.find(issuer.metadata.uid());
    if (known != vaults_.end() && known->second.version == version) {
      co_return known->second.client;
    }
  }
  CW_CO_ASSIGN_OR_RETURN(VaultOptions options, VaultOptionsOf(spec, secret));
  CW_CO_ASSIGN_OR_RETURN(
      std::shared_ptr<VaultClient> client,
      VaultClient::Create(environment_.http, environment_.timers, std::move(options)));
  base::MutexLock lock(mutex_);
  if (vaults_.size() >= kMaxKnownVaults) vaults_.clear();
  vaults_[issuer.metadata.uid()] = {version, client};
  co_return client;
}

runtime::Awaitable<absl::StatusOr<SigningIssuers::Readiness>> SigningIssuers::CheckReady(
    runtime::Context context, AnyIssuer issuer) {
  if (issuer.spec.has_ca()) co_return co_await CheckCa(context, issuer);
  if (issuer.spec.has_vault()) co_return co_await CheckVault(context, issuer);
  Readiness readiness;
  readiness.ready = issuer.spec.has_self_signed();
  readiness.reason = readiness.ready ? "IsReady" : "InvalidConfig";
  readiness.message = readiness.ready ? "Each certificate is signed with its own key."
                                      : "The issuer is of a kind that is not known.";
  co_return readiness;
}

runtime::Awaitable<absl::StatusOr<SigningIssuers::Readiness>> SigningIssuers::CheckCa(
    runtime::Context context, const AnyIssuer& issuer) {
  const absl::StatusOr<Authority> authority = co_await LoadAuthority(context, issuer);
  Readiness readiness;
  if (authority.ok()) {
    readiness.ready = true;
    readiness.reason = "KeyPairVerified";
    readiness.message = "The Secret holds a CA's certificate and its key.";
    const pki::Certificate& certificate = authority->ca.certificate;
    std::vector<pki::Certificate> served = pki::ServedChain(authority->ca, certificate);
    served.erase(served.begin());
    readiness.ca = PrivateCa{certificate, pki::ToPem(served), authority->ca_pem};
    // Then it can sign no more.
    readiness.next.requeue_after = certificate.not_after - environment_.clock().Now();
    co_return readiness;
  }
  // The Secret's change wakes the issuer.
  if (absl::IsNotFound(authority.status())) {
    readiness.reason = "SecretMissing";
  } else if (absl::IsFailedPrecondition(authority.status())) {
    readiness.reason = "InvalidKeyPair";
    // It may become valid by itself.
    readiness.next.requeue_after = absl::Minutes(10);
  } else {
    co_return authority.status();
  }
  readiness.message = std::string(authority.status().message());
  co_return readiness;
}

runtime::Awaitable<absl::StatusOr<SigningIssuers::Readiness>> SigningIssuers::CheckVault(
    runtime::Context context, const AnyIssuer& issuer) {
  const auto client = co_await FindVault(context, issuer);
  absl::Status status = client.status();
  if (client.ok()) status = co_await (*client)->CheckHealth(context);
  // The pass has ended, and nothing is known about Vault.
  if (!status.ok()) CW_CO_RETURN_IF_ERROR(context.Check());
  Readiness readiness;
  readiness.ready = status.ok();
  readiness.next.requeue_after = status.ok() ? kReadyVaultCheck : kUnavailableVaultCheck;
  if (status.ok()) {
    readiness.reason = "VaultVerified";
    readiness.message = "Vault answers and can sign.";
    co_return readiness;
  }
  const bool missing = !client.ok() && absl::IsNotFound(status);
  readiness.reason = missing ? "SecretMissing" : "VaultUnavailable";
  readiness.message = std::string(status.message());
  co_return readiness;
}

}  // namespace certwright::issuer_service
