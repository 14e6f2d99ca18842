// The RPCs of CertificateService.
#pragma once

#include "certwright/issuer/v1/certificate.pb.h"
#include "lib/rpc/service.h"
#include "lib/service/environment.h"
#include "lib/service/resource_verbs.h"
#include "services/issuer/accounts.h"
#include "services/issuer/certificate_description.h"
#include "services/issuer/certificate_revocation.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class CertificateRpc final : public rpc::Service {
 public:
  // All must outlive this.
  CertificateRpc(service::Environment environment, Stores& stores, Accounts& accounts,
                 const rpc::CallEnvironment& calls,
                 const CertificateDescriptions& descriptions);

 private:
  void AddMethods();

  runtime::Awaitable<absl::StatusOr<issuer::v1::RenewCertificateResponse>> Renew(
      rpc::CallContext call, std::string resource_namespace, std::string name);
  runtime::Awaitable<absl::StatusOr<issuer::v1::GetCertificateChainResponse>> GetChain(
      rpc::CallContext call, std::string resource_namespace, std::string name);
  runtime::Awaitable<absl::StatusOr<issuer::v1::Certificate>> Find(
      runtime::Context context, const std::string& resource_namespace, const std::string& name);

  // Refuses what no issuer that it names can get signed.
  runtime::Awaitable<absl::Status> CheckIssuable(runtime::Context context,
                                                 const issuer::v1::Certificate& certificate);

  const service::Environment environment_;
  Stores& stores_;
  Accounts& accounts_;
  const CertificateDescriptions& descriptions_;
  service::ResourceVerbs<issuer::v1::Certificate> certificates_;
  CertificateRevocation revocation_;
};

}  // namespace certwright::issuer_service
