// The RPCs of IssuerService.
#pragma once

#include "certwright/issuer/v1/issuer.grpc.pb.h"
#include "lib/rpc/unary_handler.h"
#include "lib/rpc/watch_reactor.h"
#include "lib/service/environment.h"
#include "lib/service/resource_verbs.h"
#include "services/issuer/accounts.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class IssuerRpc final : public issuer::v1::IssuerService::CallbackService {
 public:
  // All must outlive this.
  IssuerRpc(service::Environment environment, Stores& stores, Accounts& accounts,
            const rpc::HandlerEnvironment& handlers, rpc::WatchHub& hub);

  grpc::ServerUnaryReactor* CreateIssuer(grpc::CallbackServerContext* context,
                                         const issuer::v1::CreateIssuerRequest* request,
                                         issuer::v1::CreateIssuerResponse* response) override;
  grpc::ServerUnaryReactor* GetIssuer(grpc::CallbackServerContext* context,
                                      const issuer::v1::GetIssuerRequest* request,
                                      issuer::v1::GetIssuerResponse* response) override;
  grpc::ServerUnaryReactor* ListIssuers(grpc::CallbackServerContext* context,
                                        const issuer::v1::ListIssuersRequest* request,
                                        issuer::v1::ListIssuersResponse* response) override;
  grpc::ServerUnaryReactor* UpdateIssuer(grpc::CallbackServerContext* context,
                                         const issuer::v1::UpdateIssuerRequest* request,
                                         issuer::v1::UpdateIssuerResponse* response) override;
  grpc::ServerUnaryReactor* DeleteIssuer(grpc::CallbackServerContext* context,
                                         const issuer::v1::DeleteIssuerRequest* request,
                                         issuer::v1::DeleteIssuerResponse* response) override;
  grpc::ServerWriteReactor<issuer::v1::WatchIssuersResponse>* WatchIssuers(
      grpc::CallbackServerContext* context,
      const issuer::v1::WatchIssuersRequest* request) override;

  grpc::ServerUnaryReactor* CreateClusterIssuer(
      grpc::CallbackServerContext* context,
      const issuer::v1::CreateClusterIssuerRequest* request,
      issuer::v1::CreateClusterIssuerResponse* response) override;
  grpc::ServerUnaryReactor* GetClusterIssuer(
      grpc::CallbackServerContext* context, const issuer::v1::GetClusterIssuerRequest* request,
      issuer::v1::GetClusterIssuerResponse* response) override;
  grpc::ServerUnaryReactor* ListClusterIssuers(
      grpc::CallbackServerContext* context,
      const issuer::v1::ListClusterIssuersRequest* request,
      issuer::v1::ListClusterIssuersResponse* response) override;
  grpc::ServerUnaryReactor* UpdateClusterIssuer(
      grpc::CallbackServerContext* context,
      const issuer::v1::UpdateClusterIssuerRequest* request,
      issuer::v1::UpdateClusterIssuerResponse* response) override;
  grpc::ServerUnaryReactor* DeleteClusterIssuer(
      grpc::CallbackServerContext* context,
      const issuer::v1::DeleteClusterIssuerRequest* request,
      issuer::v1::DeleteClusterIssuerResponse* response) override;
  grpc::ServerWriteReactor<issuer::v1::WatchClusterIssuersResponse>* WatchClusterIssuers(
      grpc::CallbackServerContext* context,
      const issuer::v1::WatchClusterIssuersRequest* request) override;

  grpc::ServerUnaryReactor* ResolveSolver(grpc::CallbackServerContext* context,
                                          const issuer::v1::ResolveSolverRequest* request,
                                          issuer::v1::ResolveSolverResponse* response) override;

 private:
  // Refuses what this version does not serve, and TSIG secrets that are no base64.
  runtime::Awaitable<absl::Status> Check(runtime::Context context, meta::v1::IssuerRef ref,
                                         std::string resource_namespace,
                                         issuer::v1::IssuerSpec spec);
  runtime::Awaitable<absl::StatusOr<issuer::v1::ResolveSolverResponse>> Resolve(
      rpc::CallContext call, issuer::v1::ResolveSolverRequest request);

  Accounts& accounts_;
  const rpc::HandlerEnvironment& handlers_;
  service::ResourceVerbs<issuer::v1::Issuer> issuers_;
  service::ResourceVerbs<issuer::v1::ClusterIssuer> cluster_issuers_;
};

}  // namespace certwright::issuer_service
