// The RPCs of CertificateRequestService.
#pragma once

#include "certwright/issuer/v1/certificate_request.pb.h"
#include "lib/rpc/service.h"
#include "lib/service/conditions.h"
#include "lib/service/environment.h"
#include "lib/service/resource_verbs.h"
#include "services/issuer/callers.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class CertificateRequestRpc final : public rpc::Service {
 public:
  // All must outlive this.
  CertificateRequestRpc(service::Environment environment, Stores& stores,
                        const Callers& callers, const rpc::CallEnvironment& calls);

 private:
  void AddMethods();

  // Sets Approved or Denied, once and for all.
  runtime::Awaitable<absl::StatusOr<issuer::v1::CertificateRequest>> Judge(
      rpc::CallContext call, std::string resource_namespace, std::string name,
      service::ConditionUpdate verdict);
  // `request` is that of ApproveCertificateRequest or DenyCertificateRequest; `verdict` says
  // what stands for a reason and a message that it does not give.
  template <typename Response, typename Request>
  runtime::Awaitable<absl::StatusOr<Response>> JudgeAndWrap(rpc::CallContext call,
                                                            Request request,
                                                            service::ConditionUpdate verdict);

  const service::Environment environment_;
  Stores& stores_;
  const Callers& callers_;
  service::ResourceVerbs<issuer::v1::CertificateRequest> requests_;
};

}  // namespace certwright::issuer_service
