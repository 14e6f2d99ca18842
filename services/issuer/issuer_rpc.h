// The RPCs of IssuerService.
#pragma once

#include "certwright/issuer/v1/issuer.pb.h"
#include "lib/rpc/service.h"
#include "lib/service/environment.h"
#include "lib/service/resource_verbs.h"
#include "services/issuer/accounts.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class IssuerRpc final : public rpc::Service {
 public:
  // All must outlive this.
  IssuerRpc(Stores& stores, Accounts& accounts, const rpc::CallEnvironment& calls);

 private:
  void AddMethods();

  // Refuses what this version does not serve, and TSIG secrets that are no base64.
  runtime::Awaitable<absl::Status> Check(runtime::Context context, meta::v1::IssuerRef ref,
                                         std::string resource_namespace,
                                         issuer::v1::IssuerSpec spec);
  runtime::Awaitable<absl::StatusOr<issuer::v1::ResolveSolverResponse>> Resolve(
      rpc::CallContext call, issuer::v1::ResolveSolverRequest request);

  Accounts& accounts_;
  service::ResourceVerbs<issuer::v1::Issuer> issuers_;
  service::ResourceVerbs<issuer::v1::ClusterIssuer> cluster_issuers_;
};

}  // namespace certwright::issuer_service
