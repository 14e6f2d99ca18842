// The RPCs of CertificateRequestService.
#pragma once

#include <string>

#include "certwright/issuer/v1/certificate_request.pb.h"
#include "lib/rpc/service.h"
#include "lib/service/conditions.h"
#include "lib/service/environment.h"
#include "lib/service/resource_verbs.h"
#include "services/issuer/accounts.h"
#include "services/issuer/callers.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class CertificateRequestRpc final : public rpc::Service {
 public:
  // All must outlive this.
  CertificateRequestRpc(service::Environment environment, Stores& stores, Accounts& accounts,
                        const Callers& callers, const rpc::CallEnvironment& calls);

 private:
  void AddMethods();

  // PERMISSION_DENIED if `request` would have a key used that the caller may not read.
  absl::Status CheckMayUseKey(const rpc::CallContext& call,
                              const issuer::v1::CertificateRequest& request) const;
  runtime::Awaitable<absl::StatusOr<issuer::v1::CreateCertificateRequestResponse>> Create(
      rpc::CallContext call, issuer::v1::CertificateRequest request);
  // Refuses what the issuer that it names cannot get signed.
  runtime::Awaitable<absl::Status> CheckIssuable(runtime::Context context,
                                                 const issuer::v1::CertificateRequest& request);
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
  Accounts& accounts_;
  const Callers& callers_;
  service::ResourceVerbs<issuer::v1::CertificateRequest> requests_;
};

}  // namespace certwright::issuer_service
