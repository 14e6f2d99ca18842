#include "services/issuer/secret_rpc.h"

#include <utility>

#include "lib/base/secret.h"
#include "services/issuer/certificate_validation.h"

namespace certwright::issuer_service {

namespace v1 = issuer::v1;

SecretRpc::SecretRpc(Stores& stores, const rpc::CallEnvironment& calls)
    : Service("certwright.issuer.v1.SecretService", calls),
      secrets_({.kind = "Secret",
                .validate = ValidateSecret,
                .redact =
                    [](v1::Secret& secret) {
                      for (auto& [key, value] : *secret.mutable_data()) base::Wipe(value);
                    }},
               stores.secrets, calls) {
  AddMethods();
}

void SecretRpc::AddMethods() {
  Unary<v1::CreateSecretRequest>([this](rpc::CallContext call, const auto& request) {
    return secrets_.Create(std::move(call), request.secret(),
                           &v1::CreateSecretResponse::mutable_secret);
  });
  Unary<v1::GetSecretRequest>([this](rpc::CallContext call, const auto& request) {
    return secrets_.Get(std::move(call), request.namespace_(), request.name(),
                        &v1::GetSecretResponse::mutable_secret);
  });
  Unary<v1::ListSecretsRequest>([this](rpc::CallContext call, const auto& request) {
    return secrets_.List(std::move(call), request, &v1::ListSecretsResponse::add_secrets);
  });
  Unary<v1::UpdateSecretRequest>([this](rpc::CallContext call, const auto& request) {
    return secrets_.Update(std::move(call), request.secret(),
                           &v1::UpdateSecretResponse::mutable_secret);
  });
  Unary<v1::DeleteSecretRequest>([this](rpc::CallContext call, const auto& request) {
    return secrets_.Delete<v1::DeleteSecretResponse>(std::move(call), request.namespace_(),
                                                     request.name());
  });
  Watch<v1::WatchSecretsRequest>(
      [this](std::shared_ptr<rpc::WatchCall> watch, const auto& request) {
        secrets_.Watch(std::move(watch), request, &v1::WatchSecretsResponse::mutable_secret);
      });
}

}  // namespace certwright::issuer_service
