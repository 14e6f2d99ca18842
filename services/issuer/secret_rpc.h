// The RPCs of SecretService. Lists and watches show keys of data without their values.
#pragma once

#include "certwright/issuer/v1/secret.pb.h"
#include "lib/rpc/service.h"
#include "lib/service/environment.h"
#include "lib/service/resource_verbs.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class SecretRpc final : public rpc::Service {
 public:
  // All must outlive this.
  SecretRpc(Stores& stores, const rpc::CallEnvironment& calls);

 private:
  void AddMethods();

  service::ResourceVerbs<issuer::v1::Secret> secrets_;
};

}  // namespace certwright::issuer_service
