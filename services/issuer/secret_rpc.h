// The RPCs of SecretService. Lists and watches show keys of data without their values.
#pragma once

#include "certwright/issuer/v1/secret.grpc.pb.h"
#include "lib/rpc/unary_handler.h"
#include "lib/rpc/watch_reactor.h"
#include "lib/service/environment.h"
#include "lib/service/resource_verbs.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class SecretRpc final : public issuer::v1::SecretService::CallbackService {
 public:
  // All must outlive this.
  SecretRpc(service::Environment environment, Stores& stores,
            const rpc::HandlerEnvironment& handlers, rpc::WatchHub& hub);

  grpc::ServerUnaryReactor* CreateSecret(grpc::CallbackServerContext* context,
                                         const issuer::v1::CreateSecretRequest* request,
                                         issuer::v1::CreateSecretResponse* response) override;
  grpc::ServerUnaryReactor* GetSecret(grpc::CallbackServerContext* context,
                                      const issuer::v1::GetSecretRequest* request,
                                      issuer::v1::GetSecretResponse* response) override;
  grpc::ServerUnaryReactor* ListSecrets(grpc::CallbackServerContext* context,
                                        const issuer::v1::ListSecretsRequest* request,
                                        issuer::v1::ListSecretsResponse* response) override;
  grpc::ServerUnaryReactor* UpdateSecret(grpc::CallbackServerContext* context,
                                         const issuer::v1::UpdateSecretRequest* request,
                                         issuer::v1::UpdateSecretResponse* response) override;
  grpc::ServerUnaryReactor* DeleteSecret(grpc::CallbackServerContext* context,
                                         const issuer::v1::DeleteSecretRequest* request,
                                         issuer::v1::DeleteSecretResponse* response) override;
  grpc::ServerWriteReactor<issuer::v1::WatchSecretsResponse>* WatchSecrets(
      grpc::CallbackServerContext* context,
      const issuer::v1::WatchSecretsRequest* request) override;

 private:
  const rpc::HandlerEnvironment& handlers_;
  service::ResourceVerbs<issuer::v1::Secret> secrets_;
};

}  // namespace certwright::issuer_service
