#include "services/issuer/certificate_rpc.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "lib/base/status_macros.h"
#include "lib/pki/certificate.h"
#include "lib/rpc/status.h"
#include "lib/service/conditions.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/given_certificate.h"
#include "services/issuer/issuable.h"

namespace certwright::issuer_service {

namespace v1 = issuer::v1;

namespace {

// Of RenewCertificate, against writes that come in between.
constexpr int kMostRenewAttempts = 10;

std::string WithDefault(const std::string& resource_namespace) {
  return resource_namespace.empty() ? service::kDefaultNamespace : resource_namespace;
}

}  // namespace

CertificateRpc::CertificateRpc(service::Environment environment, Stores& stores,
                               Accounts& accounts, const rpc::CallEnvironment& calls,
                               const CertificateDescriptions& descriptions)
    : Service("certwright.issuer.v1.CertificateService", calls),
      environment_(environment),
      stores_(stores),
      accounts_(accounts),
      descriptions_(descriptions),
      certificates_({.kind = "Certificate",
                     .validate = ValidateCertificate,
                     .check =
                         [this](runtime::Context context, const v1::Certificate& certificate) {
                           return CheckIssuable(std::move(context), certificate);
                         }},
                    stores.certificates, calls),
      revocation_(environment, stores, accounts) {
  AddMethods();
}

runtime::Awaitable<absl::StatusOr<v1::Certificate>> CertificateRpc::Find(
    runtime::Context context, const std::string& resource_namespace, const std::string& name) {
  auto found = co_await stores_.certificates.Get(context, resource_namespace, name);
  if (absl::IsNotFound(found.status())) {
    co_return rpc::NotFound("Certificate", resource_namespace, name);
  }
  co_return found;
}

runtime::Awaitable<absl::Status> CertificateRpc::CheckIssuable(
    runtime::Context context, const v1::Certificate& certificate) {
  const v1::CertificateSpec& spec = certificate.spec();
  std::vector<meta::v1::IssuerRef> issuers = {spec.issuer_ref()};
  issuers.insert(issuers.end(), spec.fallback_issuer_refs().begin(),
                 spec.fallback_issuer_refs().end());
  const AskedOfAcme asked = AskedBy(spec);
  CW_CO_ASSIGN_OR_RETURN(const rpc::Violations violations,
                         co_await WhyNobodyIssues(context, accounts_, std::move(issuers),
                                                  certificate.metadata().namespace_(), asked));
  co_return violations.ToStatus();
}

runtime::Awaitable<absl::StatusOr<v1::RenewCertificateResponse>> CertificateRpc::Renew(
    rpc::CallContext call, std::string resource_namespace, std::string name) {
  v1::RenewCertificateResponse response;
  for (int attempt = 1;; ++attempt) {
    CW_CO_ASSIGN_OR_RETURN(v1::Certificate certificate,
                           co_await Find(call.context, resource_namespace, name));
    // One on the way is what was asked for.
    if (!certificate.status().certificate_request_name().empty()) {
      *response.mutable_certificate() = std::move(certificate);
      co_return response;
    }
    const service::ConditionUpdate issuing{"Issuing", true, "ManuallyTriggered",
                                           "A new certificate was asked for."};
    service::SetCondition(*certificate.mutable_status()->mutable_conditions(), issuing,
                          certificate.metadata().generation(), environment_.clock().Now());
    absl::StatusOr<v1::Certificate> updated =
        co_await stores_.certificates.UpdateStatus(call.context, std::move(certificate));
    // A reconciler was faster; the caller has named no version, so that is no concern of his.
    if (absl::IsAborted(updated.status()) && attempt < kMostRenewAttempts) continue;
    if (!updated.ok()) co_return updated.status();
    *response.mutable_certificate() = *std::move(updated);
    co_return response;
  }
}

runtime::Awaitable<absl::StatusOr<v1::GetCertificateChainResponse>> CertificateRpc::GetChain(
    rpc::CallContext call, std::string resource_namespace, std::string name) {
  CW_CO_ASSIGN_OR_RETURN(const v1::Certificate certificate,
                         co_await Find(call.context, resource_namespace, name));
  auto secret = co_await stores_.secrets.Get(call.context, resource_namespace,
                                             certificate.spec().secret_name());
  if (!secret.ok() && !absl::IsNotFound(secret.status())) co_return secret.status();
  v1::Secret present = std::move(secret).value_or(v1::Secret());
  const absl::Cleanup wipe = [&present] {
    for (auto& [key, value] : *present.mutable_data()) base::Wipe(value);
  };
  CW_CO_ASSIGN_OR_RETURN(const std::vector<pki::Certificate> chain,
                         GivenChain(certificate, present));
  v1::GetCertificateChainResponse response;
  // Written anew, so that nothing but certificates leaves.
  response.set_certificate(pki::ToPem(chain));
  const auto ca = present.data().find(kCaKey);
  if (ca == present.data().end()) co_return response;
  const auto top = pki::ParseChainPem(ca->second);
  if (top.ok()) response.set_ca(pki::ToPem(*top));
  co_return response;
}

void CertificateRpc::AddMethods() {
  Unary<v1::CreateCertificateRequest>([this](rpc::CallContext call, const auto& request) {
    return certificates_.Create(std::move(call), request.certificate(),
                                &v1::CreateCertificateResponse::mutable_certificate);
  });
  Unary<v1::GetCertificateRequest>([this](rpc::CallContext call, const auto& request) {
    return certificates_.Get(std::move(call), request.namespace_(), request.name(),
                             &v1::GetCertificateResponse::mutable_certificate);
  });
  Unary<v1::ListCertificatesRequest>([this](rpc::CallContext call, const auto& request) {
    return certificates_.List(std::move(call), request,
                              &v1::ListCertificatesResponse::add_certificates);
  });
  Unary<v1::UpdateCertificateRequest>([this](rpc::CallContext call, const auto& request) {
    return certificates_.Update(std::move(call), request.certificate(),
                                &v1::UpdateCertificateResponse::mutable_certificate);
  });
  Unary<v1::DeleteCertificateRequest>([this](rpc::CallContext call, const auto& request) {
    return certificates_.Delete<v1::DeleteCertificateResponse>(
        std::move(call), request.namespace_(), request.name());
  });
  Watch<v1::WatchCertificatesRequest>(
      [this](std::shared_ptr<rpc::WatchCall> watch, const auto& request) {
        certificates_.Watch(std::move(watch), request,
                            &v1::WatchCertificatesResponse::mutable_certificate);
      });
  Unary<v1::RenewCertificateRequest>([this](rpc::CallContext call, const auto& request) {
    return Renew(std::move(call), WithDefault(request.namespace_()), request.name());
  });
  Unary<v1::GetCertificateChainRequest>([this](rpc::CallContext call, const auto& request) {
    return GetChain(std::move(call), WithDefault(request.namespace_()), request.name());
  });
  Unary<v1::RevokeCertificateRequest>([this](rpc::CallContext call, const auto& request) {
    return revocation_.Revoke(call.context, request);
  });
  Unary<v1::DescribeCertificateRequest>(
      [this](const rpc::CallContext& call, const auto& request) {
        return descriptions_.Describe(call.context, WithDefault(request.namespace_()),
                                      request.name());
      });
}

}  // namespace certwright::issuer_service
