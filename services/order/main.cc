// certwright-order: the service that runs ACME orders.

#include "services/order/order_app.h"
#include "services/order/order_permissions.h"

namespace certwright::order {
namespace {

class Factory final : public service::ServiceFactory {
 public:
  service::ServiceDescription Describe() const override {
    service::ServiceDescription description;
    description.program = "certwright-order";
    description.summary = "Runs ACME orders: from the names to the certificate.";
    description.example_config =
        "  server:\n"
        "    listen: 127.0.0.1:7002\n"
        "  store:\n"
        "    sqlite:\n"
        "      path: order.db\n"
        "  issuer:\n"
        "    address: 127.0.0.1:7001\n"
        "  solver:\n"
        "    address: 127.0.0.1:7003\n";
    return description;
  }
  google::protobuf::Message& config() override { return config_; }
  service::CommonConfig common() const override {
    return service::CommonConfig{config_.server(), config_.log(), config_.acme(),
                                 config_.access(), config_.store()};
  }
  rpc::PermissionTable Permissions() const override { return OrderPermissions(); }
  std::vector<std::string> Validate() const override { return ValidateConfig(config_); }
  absl::StatusOr<std::unique_ptr<service::App>> Build(
      service::Environment environment) override {
    return OrderApp::Open(config_, environment);
  }

 private:
  config::v1::OrderConfig config_;
};

}  // namespace
}  // namespace certwright::order

int main(int argc, char** argv) {
  certwright::order::Factory factory;
  return certwright::service::RunMain(argc, argv, factory);
}
