// certwright-issuer: issuers, certificates, keys and accounts.
#include "lib/service/main.h"

#include <string>
#include <vector>

#include "certwright/config/v1/issuer_config.pb.h"
#include "services/issuer/issuer_app.h"
#include "services/issuer/issuer_permissions.h"

namespace {

using certwright::service::App;
using certwright::service::CommonConfig;
using certwright::service::Environment;
using certwright::service::ServiceDescription;

class IssuerFactory final : public certwright::service::ServiceFactory {
 public:
  ServiceDescription Describe() const override {
    return {"certwright-issuer", "Keeps issuers, certificates, their keys and ACME accounts.",
            "  server: {listen: \"127.0.0.1:7001\"}\n"
            "  store: {sqlite: {path: issuer.db}}\n"
            "  order: {address: \"127.0.0.1:7002\"}\n",
            "Secrets are sealed in the store, and so in its backups: keep a copy of the key\n"
            "file (sealing.keyFiles) elsewhere, without which they cannot be read.\n"};
  }
  google::protobuf::Message& config() override { return config_; }
  CommonConfig common() const override {
    return {config_.server(), config_.log(), config_.acme(), config_.access(), config_.store()};
  }
  certwright::rpc::PermissionTable Permissions() const override {
    return certwright::issuer_service::IssuerPermissions();
  }
  std::vector<std::string> Validate() const override {
    return certwright::issuer_service::ValidateIssuerConfig(config_);
  }
  absl::StatusOr<std::unique_ptr<App>> Build(Environment environment) override {
    return certwright::issuer_service::BuildIssuerApp(config_, environment);
  }

 private:
  certwright::config::v1::IssuerConfig config_;
};

}  // namespace

int main(int argc, char** argv) {
  IssuerFactory factory;
  return certwright::service::RunMain(argc, argv, factory);
}
