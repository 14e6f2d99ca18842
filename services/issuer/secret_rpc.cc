#include "services/issuer/secret_rpc.h"

#include <utility>

#include "lib/base/secret.h"
#include "services/issuer/certificate_validation.h"

namespace certwright::issuer_service {

namespace v1 = issuer::v1;

SecretRpc::SecretRpc(service::Environment environment, Stores& stores,
                     const rpc::HandlerEnvironment& handlers, rpc::WatchHub& hub)
    : handlers_(handlers),
      secrets_({.kind = "Secret",
                .validate = ValidateSecret,
                .redact =
                    [](v1::Secret& secret) {
                      for (auto& [key, value] : *secret.mutable_data()) base::Wipe(value);
                    }},
               stores.secrets, environment.executor, environment.timers, hub) {}

grpc::ServerUnaryReactor* SecretRpc::CreateSecret(grpc::CallbackServerContext* context,
                                                  const v1::CreateSecretRequest* request,
                                                  v1::CreateSecretResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "CreateSecret", request, response,
      [this](rpc::CallContext call, const v1::CreateSecretRequest& request) {
        return secrets_.Create(std::move(call), request.secret(),
                               &v1::CreateSecretResponse::mutable_secret);
      });
}

grpc::ServerUnaryReactor* SecretRpc::GetSecret(grpc::CallbackServerContext* context,
                                               const v1::GetSecretRequest* request,
                                               v1::GetSecretResponse* response) {
  return rpc::HandleUnary(handlers_, context, "GetSecret", request, response,
                          [this](rpc::CallContext call, const v1::GetSecretRequest& request) {
                            return secrets_.Get(std::move(call), request.namespace_(),
                                                request.name(),
                                                &v1::GetSecretResponse::mutable_secret);
                          });
}

grpc::ServerUnaryReactor* SecretRpc::ListSecrets(grpc::CallbackServerContext* context,
                                                 const v1::ListSecretsRequest* request,
                                                 v1::ListSecretsResponse* response) {
  return rpc::HandleUnary(handlers_, context, "ListSecrets", request, response,
                          [this](rpc::CallContext call, const v1::ListSecretsRequest& request) {
                            return secrets_.List(std::move(call), request,
                                                 &v1::ListSecretsResponse::add_secrets);
                          });
}

grpc::ServerUnaryReactor* SecretRpc::UpdateSecret(grpc::CallbackServerContext* context,
                                                  const v1::UpdateSecretRequest* request,
                                                  v1::UpdateSecretResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "UpdateSecret", request, response,
      [this](rpc::CallContext call, const v1::UpdateSecretRequest& request) {
        return secrets_.Update(std::move(call), request.secret(),
                               &v1::UpdateSecretResponse::mutable_secret);
      });
}

grpc::ServerUnaryReactor* SecretRpc::DeleteSecret(grpc::CallbackServerContext* context,
                                                  const v1::DeleteSecretRequest* request,
                                                  v1::DeleteSecretResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "DeleteSecret", request, response,
      [this](rpc::CallContext call, const v1::DeleteSecretRequest& request) {
        return secrets_.Delete<v1::DeleteSecretResponse>(std::move(call), request.namespace_(),
                                                         request.name());
      });
}

grpc::ServerWriteReactor<v1::WatchSecretsResponse>* SecretRpc::WatchSecrets(
    grpc::CallbackServerContext* context, const v1::WatchSecretsRequest* request) {
  return secrets_.Watch(rpc::Admit(handlers_, *context, *request), *request,
                        &v1::WatchSecretsResponse::mutable_secret);
}

}  // namespace certwright::issuer_service
