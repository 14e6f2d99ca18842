#include "tests/harness/step_ca.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"
#include "boost/json/serialize.hpp"
#include "lib/base/status_macros.h"
#include "lib/pki/test_ca.h"
#include "tests/harness/fetch.h"

namespace certwright::harness {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);

std::string Config(const StepCaOptions& options, int port) {
  const std::string& folder = options.folder;
  boost::json::object provisioner;
  provisioner["type"] = "ACME";
  provisioner["name"] = "acme";
  provisioner["claims"] = {
      {"minTLSCertDuration", "30s"},
      {"defaultTLSCertDuration", absl::StrCat(absl::ToInt64Seconds(options.validity), "s")}};
  boost::json::object root;
  root["root"] = folder + "/root.crt";
  root["crt"] = folder + "/intermediate.crt";
  root["key"] = folder + "/intermediate.key";
  root["address"] = absl::StrCat("127.0.0.1:", port);
  root["dnsNames"] = boost::json::array{"localhost"};
  root["db"] = {{"type", "bbolt"}, {"dataSource", folder + "/db"}};
  root["crl"] = {{"enabled", true}, {"generateOnRevoke", true}};
  root["authority"] = {{"provisioners", boost::json::array{std::move(provisioner)}}};
  return boost::json::serialize(root);
}

}  // namespace

absl::StatusOr<std::unique_ptr<StepCa>> StepCa::Start(StepCaOptions options) {
  auto program = FindProgram("step-ca", "");
  if (!program.ok()) {
    return absl::NotFoundError("step-ca is missing: ./test slow puts it into .tools/bin");
  }
  std::unique_ptr<StepCa> step_ca(new StepCa);
  step_ca->port_ = FreePort();

  const pki::TestCa root("step-ca Root");
  const pki::TestCa intermediate = root.MakeIntermediate("step-ca Intermediate");
  step_ca->root_pem_ = root.certificate().Pem();
  WriteFile(options.folder + "/root.crt", step_ca->root_pem_);
  WriteFile(options.folder + "/intermediate.crt", intermediate.certificate().Pem());
  WriteFile(options.folder + "/intermediate.key",
            std::string(intermediate.key().ToPem().Reveal()));
  const std::string config_file = options.folder + "/ca.json";
  WriteFile(config_file, Config(options, step_ca->port_));

  ProcessSpec spec;
  spec.name = "step-ca";
  spec.arguments = {*std::move(program), config_file, "--insecure",
                    absl::StrCat("--acme-http-port=", options.http_port),
                    absl::StrCat("--resolver=", options.dns_server)};
  spec.environment = {{"STEPPATH", options.folder}};
  spec.log_file = options.folder + "/step-ca.log";
  CW_ASSIGN_OR_RETURN(step_ca->process_, Process::Start(std::move(spec)));
  CW_RETURN_IF_ERROR(WaitForAnswer(*step_ca->process_, step_ca->directory_url(),
                                   step_ca->root_pem_, kStartTimeout));
  return step_ca;
}

std::string StepCa::Url(const std::string& path) const {
  return absl::StrCat("https://localhost:", port_, path);
}

std::string StepCa::directory_url() const { return Url("/acme/acme/directory"); }

absl::StatusOr<std::string> StepCa::FetchCrl() const {
  return Fetch(Url("/crl?pem=true"), root_pem_);
}

}  // namespace certwright::harness
