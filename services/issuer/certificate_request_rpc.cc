#include "services/issuer/certificate_request_rpc.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/status.h"
#include "services/issuer/certificate_validation.h"

namespace certwright::issuer_service {

namespace v1 = issuer::v1;

namespace {

std::string OrElse(const std::string& text, const char* fallback) {
  return text.empty() ? fallback : text;
}

}  // namespace

CertificateRequestRpc::CertificateRequestRpc(service::Environment environment, Stores& stores,
                                             const rpc::HandlerEnvironment& handlers,
                                             rpc::WatchHub& hub)
    : environment_(environment),
      stores_(stores),
      handlers_(handlers),
      requests_({.kind = "CertificateRequest",
                 .validate = ValidateCertificateRequest,
                 .delete_by_mark = true},
                stores.requests, environment.executor, environment.timers, hub) {}

runtime::Awaitable<absl::StatusOr<v1::CertificateRequest>> CertificateRequestRpc::Judge(
    rpc::CallContext call, std::string resource_namespace, std::string name,
    service::ConditionUpdate verdict) {
  auto request = co_await stores_.requests.Get(call.context, resource_namespace, name);
  if (absl::IsNotFound(request.status())) {
    co_return rpc::NotFound("CertificateRequest", resource_namespace, name);
  }
  if (!request.ok()) co_return request.status();
  auto& conditions = *request->mutable_status()->mutable_conditions();
  const std::string other = verdict.type == "Approved" ? "Denied" : "Approved";
  if (service::IsTrue(conditions, other)) {
    co_return rpc::FailedPrecondition(
        "ALREADY_JUDGED", absl::StrCat("the CertificateRequest is already ", other));
  }
  if (service::IsTrue(conditions, verdict.type)) co_return request;
  service::SetCondition(conditions, verdict, request->metadata().generation(),
                        environment_.clock().Now());
  co_return co_await stores_.requests.UpdateStatus(call.context, *std::move(request));
}

template <typename Response>
runtime::Awaitable<absl::StatusOr<Response>> CertificateRequestRpc::JudgeAndWrap(
    rpc::CallContext call, std::string resource_namespace, std::string name,
    service::ConditionUpdate verdict) {
  if (resource_namespace.empty()) resource_namespace = service::kDefaultNamespace;
  CW_CO_ASSIGN_OR_RETURN(v1::CertificateRequest judged,
                         co_await Judge(std::move(call), std::move(resource_namespace),
                                        std::move(name), std::move(verdict)));
  Response response;
  *response.mutable_certificate_request() = std::move(judged);
  co_return response;
}

grpc::ServerUnaryReactor* CertificateRequestRpc::CreateCertificateRequest(
    grpc::CallbackServerContext* context, const v1::CreateCertificateRequestRequest* request,
    v1::CreateCertificateRequestResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "CreateCertificateRequest", request, response,
      [this](rpc::CallContext call, const v1::CreateCertificateRequestRequest& request) {
        return requests_.Create(
            std::move(call), request.certificate_request(),
            &v1::CreateCertificateRequestResponse::mutable_certificate_request);
      });
}

grpc::ServerUnaryReactor* CertificateRequestRpc::GetCertificateRequest(
    grpc::CallbackServerContext* context, const v1::GetCertificateRequestRequest* request,
    v1::GetCertificateRequestResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "GetCertificateRequest", request, response,
      [this](rpc::CallContext call, const v1::GetCertificateRequestRequest& request) {
        return requests_.Get(std::move(call), request.namespace_(), request.name(),
                             &v1::GetCertificateRequestResponse::mutable_certificate_request);
      });
}

grpc::ServerUnaryReactor* CertificateRequestRpc::ListCertificateRequests(
    grpc::CallbackServerContext* context, const v1::ListCertificateRequestsRequest* request,
    v1::ListCertificateRequestsResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "ListCertificateRequests", request, response,
      [this](rpc::CallContext call, const v1::ListCertificateRequestsRequest& request) {
        return requests_.List(std::move(call), request,
                              &v1::ListCertificateRequestsResponse::add_certificate_requests);
      });
}

grpc::ServerUnaryReactor* CertificateRequestRpc::DeleteCertificateRequest(
    grpc::CallbackServerContext* context, const v1::DeleteCertificateRequestRequest* request,
    v1::DeleteCertificateRequestResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "DeleteCertificateRequest", request, response,
      [this](rpc::CallContext call, const v1::DeleteCertificateRequestRequest& request) {
        return requests_.Delete<v1::DeleteCertificateRequestResponse>(
            std::move(call), request.namespace_(), request.name());
      });
}

grpc::ServerWriteReactor<v1::WatchCertificateRequestsResponse>*
CertificateRequestRpc::WatchCertificateRequests(
    grpc::CallbackServerContext*, const v1::WatchCertificateRequestsRequest* request) {
  return requests_.Watch(*request,
                         &v1::WatchCertificateRequestsResponse::mutable_certificate_request);
}

grpc::ServerUnaryReactor* CertificateRequestRpc::ApproveCertificateRequest(
    grpc::CallbackServerContext* context, const v1::ApproveCertificateRequestRequest* request,
    v1::ApproveCertificateRequestResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "ApproveCertificateRequest", request, response,
      [this](rpc::CallContext call, const v1::ApproveCertificateRequestRequest& request) {
        service::ConditionUpdate verdict{"Approved", true,
                                         OrElse(request.reason(), "ApprovedByUser"),
                                         OrElse(request.message(), "Approved by a user.")};
        return JudgeAndWrap<v1::ApproveCertificateRequestResponse>(
            std::move(call), request.namespace_(), request.name(), std::move(verdict));
      });
}

grpc::ServerUnaryReactor* CertificateRequestRpc::DenyCertificateRequest(
    grpc::CallbackServerContext* context, const v1::DenyCertificateRequestRequest* request,
    v1::DenyCertificateRequestResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "DenyCertificateRequest", request, response,
      [this](rpc::CallContext call, const v1::DenyCertificateRequestRequest& request) {
        service::ConditionUpdate verdict{"Denied", true,
                                         OrElse(request.reason(), "DeniedByUser"),
                                         OrElse(request.message(), "Denied by a user.")};
        return JudgeAndWrap<v1::DenyCertificateRequestResponse>(
            std::move(call), request.namespace_(), request.name(), std::move(verdict));
      });
}

}  // namespace certwright::issuer_service
