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
                               Accounts& accounts, const rpc::HandlerEnvironment& handlers,
                               rpc::WatchHub& hub, const CertificateDescriptions& descriptions)
    : environment_(environment),
      stores_(stores),
      handlers_(handlers),
      descriptions_(descriptions),
      certificates_({.kind = "Certificate", .validate = ValidateCertificate},
                    stores.certificates, environment.executor, environment.timers, hub),
      revocation_(environment, stores, accounts) {}

runtime::Awaitable<absl::StatusOr<v1::Certificate>> CertificateRpc::Find(
    runtime::Context context, const std::string& resource_namespace, const std::string& name) {
  auto found = co_await stores_.certificates.Get(context, resource_namespace, name);
  if (absl::IsNotFound(found.status())) {
    co_return rpc::NotFound("Certificate", resource_namespace, name);
  }
  co_return found;
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

grpc::ServerUnaryReactor* CertificateRpc::CreateCertificate(
    grpc::CallbackServerContext* context, const v1::CreateCertificateRequest* request,
    v1::CreateCertificateResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "CreateCertificate", request, response,
      [this](rpc::CallContext call, const v1::CreateCertificateRequest& request) {
        return certificates_.Create(std::move(call), request.certificate(),
                                    &v1::CreateCertificateResponse::mutable_certificate);
      });
}

grpc::ServerUnaryReactor* CertificateRpc::GetCertificate(
    grpc::CallbackServerContext* context, const v1::GetCertificateRequest* request,
    v1::GetCertificateResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "GetCertificate", request, response,
      [this](rpc::CallContext call, const v1::GetCertificateRequest& request) {
        return certificates_.Get(std::move(call), request.namespace_(), request.name(),
                                 &v1::GetCertificateResponse::mutable_certificate);
      });
}

grpc::ServerUnaryReactor* CertificateRpc::ListCertificates(
    grpc::CallbackServerContext* context, const v1::ListCertificatesRequest* request,
    v1::ListCertificatesResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "ListCertificates", request, response,
      [this](rpc::CallContext call, const v1::ListCertificatesRequest& request) {
        return certificates_.List(std::move(call), request,
                                  &v1::ListCertificatesResponse::add_certificates);
      });
}

grpc::ServerUnaryReactor* CertificateRpc::UpdateCertificate(
    grpc::CallbackServerContext* context, const v1::UpdateCertificateRequest* request,
    v1::UpdateCertificateResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "UpdateCertificate", request, response,
      [this](rpc::CallContext call, const v1::UpdateCertificateRequest& request) {
        return certificates_.Update(std::move(call), request.certificate(),
                                    &v1::UpdateCertificateResponse::mutable_certificate);
      });
}

grpc::ServerUnaryReactor* CertificateRpc::DeleteCertificate(
    grpc::CallbackServerContext* context, const v1::DeleteCertificateRequest* request,
    v1::DeleteCertificateResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "DeleteCertificate", request, response,
      [this](rpc::CallContext call, const v1::DeleteCertificateRequest& request) {
        return certificates_.Delete<v1::DeleteCertificateResponse>(
            std::move(call), request.namespace_(), request.name());
      });
}

grpc::ServerWriteReactor<v1::WatchCertificatesResponse>* CertificateRpc::WatchCertificates(
    grpc::CallbackServerContext* context, const v1::WatchCertificatesRequest* request) {
  return certificates_.Watch(rpc::Admit(handlers_, *context, *request), *request,
                             &v1::WatchCertificatesResponse::mutable_certificate);
}

grpc::ServerUnaryReactor* CertificateRpc::RenewCertificate(
    grpc::CallbackServerContext* context, const v1::RenewCertificateRequest* request,
    v1::RenewCertificateResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "RenewCertificate", request, response,
      [this](rpc::CallContext call, const v1::RenewCertificateRequest& request) {
        return Renew(std::move(call), WithDefault(request.namespace_()), request.name());
      });
}

grpc::ServerUnaryReactor* CertificateRpc::GetCertificateChain(
    grpc::CallbackServerContext* context, const v1::GetCertificateChainRequest* request,
    v1::GetCertificateChainResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "GetCertificateChain", request, response,
      [this](rpc::CallContext call, const v1::GetCertificateChainRequest& request) {
        return GetChain(std::move(call), WithDefault(request.namespace_()), request.name());
      });
}

grpc::ServerUnaryReactor* CertificateRpc::RevokeCertificate(
    grpc::CallbackServerContext* context, const v1::RevokeCertificateRequest* request,
    v1::RevokeCertificateResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "RevokeCertificate", request, response,
      [this](rpc::CallContext call, const v1::RevokeCertificateRequest& request) {
        return revocation_.Revoke(call.context, request);
      });
}

grpc::ServerUnaryReactor* CertificateRpc::DescribeCertificate(
    grpc::CallbackServerContext* context, const v1::DescribeCertificateRequest* request,
    v1::DescribeCertificateResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "DescribeCertificate", request, response,
      [this](const rpc::CallContext& call, const v1::DescribeCertificateRequest& request) {
        return descriptions_.Describe(call.context, WithDefault(request.namespace_()),
                                      request.name());
      });
}

}  // namespace certwright::issuer_service
