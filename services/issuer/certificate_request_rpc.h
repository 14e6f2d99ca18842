// The RPCs of CertificateRequestService.
#pragma once

#include <string>

#include "certwright/issuer/v1/certificate_request.grpc.pb.h"
#include "lib/rpc/unary_handler.h"
#include "lib/rpc/watch_reactor.h"
#include "lib/service/conditions.h"
#include "lib/service/environment.h"
#include "lib/service/resource_verbs.h"
#include "services/issuer/callers.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class CertificateRequestRpc final
    : public issuer::v1::CertificateRequestService::CallbackService {
 public:
  // All must outlive this.
  CertificateRequestRpc(service::Environment environment, Stores& stores,
                        const Callers& callers, const rpc::HandlerEnvironment& handlers,
                        rpc::WatchHub& hub);

  grpc::ServerUnaryReactor* CreateCertificateRequest(
      grpc::CallbackServerContext* context,
      const issuer::v1::CreateCertificateRequestRequest* request,
      issuer::v1::CreateCertificateRequestResponse* response) override;
  grpc::ServerUnaryReactor* GetCertificateRequest(
      grpc::CallbackServerContext* context,
      const issuer::v1::GetCertificateRequestRequest* request,
      issuer::v1::GetCertificateRequestResponse* response) override;
  grpc::ServerUnaryReactor* ListCertificateRequests(
      grpc::CallbackServerContext* context,
      const issuer::v1::ListCertificateRequestsRequest* request,
      issuer::v1::ListCertificateRequestsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteCertificateRequest(
      grpc::CallbackServerContext* context,
      const issuer::v1::DeleteCertificateRequestRequest* request,
      issuer::v1::DeleteCertificateRequestResponse* response) override;
  grpc::ServerWriteReactor<issuer::v1::WatchCertificateRequestsResponse>*
  WatchCertificateRequests(grpc::CallbackServerContext* context,
                           const issuer::v1::WatchCertificateRequestsRequest* request) override;

  grpc::ServerUnaryReactor* ApproveCertificateRequest(
      grpc::CallbackServerContext* context,
      const issuer::v1::ApproveCertificateRequestRequest* request,
      issuer::v1::ApproveCertificateRequestResponse* response) override;
  grpc::ServerUnaryReactor* DenyCertificateRequest(
      grpc::CallbackServerContext* context,
      const issuer::v1::DenyCertificateRequestRequest* request,
      issuer::v1::DenyCertificateRequestResponse* response) override;

 private:
  // PERMISSION_DENIED if `request` would have a key used that the caller may not read.
  absl::Status CheckMayUseKey(const rpc::CallContext& call,
                              const issuer::v1::CertificateRequest& request) const;
  runtime::Awaitable<absl::StatusOr<issuer::v1::CreateCertificateRequestResponse>> Create(
      rpc::CallContext call, issuer::v1::CertificateRequest request);
  struct Judged {
    std::string resource_namespace;
    std::string name;
    std::string uid;
  };
  // Sets Approved or Denied, once and for all. ABORTED if the name is now that of a request
  // with another uid, about which nothing was decided.
  runtime::Awaitable<absl::StatusOr<issuer::v1::CertificateRequest>> Judge(
      rpc::CallContext call, Judged judged, service::ConditionUpdate verdict);
  // `request` is that of ApproveCertificateRequest or DenyCertificateRequest; `verdict` says
  // what stands for a reason and a message that it does not give.
  template <typename Response, typename Request>
  runtime::Awaitable<absl::StatusOr<Response>> JudgeAndWrap(rpc::CallContext call,
                                                            Request request,
                                                            service::ConditionUpdate verdict);

  const service::Environment environment_;
  Stores& stores_;
  const Callers& callers_;
  const rpc::HandlerEnvironment& handlers_;
  service::ResourceVerbs<issuer::v1::CertificateRequest> requests_;
};

}  // namespace certwright::issuer_service
