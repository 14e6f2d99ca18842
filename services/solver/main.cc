// certwright-solver: the service that proves names to ACME servers.

#include "services/solver/solver_app.h"
#include "services/solver/solver_permissions.h"

namespace certwright::solver {
namespace {

class Factory final : public service::ServiceFactory {
 public:
  service::ServiceDescription Describe() const override {
    service::ServiceDescription description;
    description.program = "certwright-solver";
    description.summary = "Proves names to ACME servers, by DNS-01 and HTTP-01.";
    description.example_config =
        "  server:\n"
        "    listen: 127.0.0.1:7003\n"
        "  store:\n"
        "    sqlite:\n"
        "      path: solver.db\n"
        "  issuer:\n"
        "    address: 127.0.0.1:7001\n"
        "  http01Listen: 0.0.0.0:80\n";
    return description;
  }
  google::protobuf::Message& config() override { return config_; }
  service::CommonConfig common() const override {
    return service::CommonConfig{config_.server(), config_.log(), config_.acme(),
                                 config_.access(), config_.store()};
  }
  rpc::PermissionTable Permissions() const override { return SolverPermissions(); }
  std::vector<std::string> Validate() const override { return ValidateConfig(config_); }
  absl::StatusOr<std::unique_ptr<service::App>> Build(
      service::Environment environment) override {
    return SolverApp::Open(config_, environment);
  }

 private:
  config::v1::SolverConfig config_;
};

}  // namespace
}  // namespace certwright::solver

int main(int argc, char** argv) {
  certwright::solver::Factory factory;
  return certwright::service::RunMain(argc, argv, factory);
}
