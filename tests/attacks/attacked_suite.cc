#include "tests/attacks/attacked_suite.h"

#include <fstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"

namespace certwright::attacks {
namespace {

using harness::Service;

// From the line with which a service says that it serves; 0 if there is none.
int MetricsPort(const std::string& log_file) {
  static constexpr absl::string_view kField = "\"metrics_port\":";
  std::ifstream log(log_file);
  for (std::string line; std::getline(log, line);) {
    const std::size_t at = line.find(kField.data());
    if (at != std::string::npos) return std::atoi(line.c_str() + at + kField.size());
  }
  return 0;
}

}  // namespace

std::string TestNameOf(Mode mode) {
  switch (mode) {
    case Mode::kPlaintext:
      return "Plaintext";
    case Mode::kMutualTls:
      return "MutualTls";
    case Mode::kTokens:
      return "Tokens";
  }
  return "";
}

absl::StatusOr<std::unique_ptr<AttackedSuite>> AttackedSuite::Start(Mode mode,
                                                                    const std::string& limits) {
  std::unique_ptr<AttackedSuite> attacked(new AttackedSuite(mode));
  harness::SuiteOptions options;
  options.folder = attacked->identities_.folder();
  options.dns_server = "127.0.0.1:53";
  if (mode != Mode::kPlaintext) {
    options.certificates = attacked->identities_.certificates();
    options.client = kAdmin;
  }
  for (const Service service : harness::kServices) {
    const auto index = static_cast<std::size_t>(service);
    const int port = harness::FreePort();
    attacked->health_ports_[service] = port;
    options.server_config[index] =
        absl::StrCat("healthListen: \"127.0.0.1:", port, "\", ",
                     limits.empty() ? "" : absl::StrCat("limits: {", limits, "}"));
    options.extra_config[index] =
        absl::StrCat("log: {auditFile: \"", attacked->audit_file(service), "\"}\n");
    if (mode != Mode::kPlaintext) {
      options.extra_config[index] +=
          attacked->identities_.AccessConfig(/*with_tokens=*/mode == Mode::kTokens);
    }
  }
  CW_ASSIGN_OR_RETURN(attacked->suite_, harness::Suite::Start(std::move(options)));
  for (const Service service : harness::kServices) {
    attacked->metrics_ports_[service] = MetricsPort(attacked->log_file(service));
  }
  return attacked;
}

int AttackedSuite::GrpcPort(Service service) const {
  int port = 0;
  const std::string address = suite_->address(service);
  return absl::SimpleAtoi(address.substr(address.find(':') + 1), &port) ? port : 0;
}

Target AttackedSuite::ToGrpc(Service service) const {
  Target target{GrpcPort(service), nullptr, kAttackersAddress};
  if (mode_ == Mode::kMutualTls) target.tls = identities_.TlsOf(kNobody);
  if (mode_ == Mode::kTokens) target.tls = TlsWithoutCertificate();
  return target;
}

Target AttackedSuite::ToHealth(Service service) const {
  return {health_ports_.at(service), nullptr, kAttackersAddress};
}

std::vector<Target> AttackedSuite::ToHttp() const {
  std::vector<Target> targets = {{suite_->http01_port(), nullptr, kAttackersAddress}};
  for (const auto& [service, port] : metrics_ports_) {
    targets.push_back({port, nullptr, kAttackersAddress});
  }
  return targets;
}

std::vector<Door> AttackedSuite::Doors() const {
  std::vector<Door> doors;
  for (const Service service : harness::kServices) {
    const std::string name =
        absl::StrCat(harness::ServiceName(service), ", ", TestNameOf(mode_));
    doors.push_back({name, service, ToGrpc(service)});
    if (mode_ == Mode::kTokens) {
      doors.push_back(
          {name + ", with a token", service, ToGrpc(service), {identities_.Authorization()}});
    }
    doors.push_back({name + ", health port", service, ToHealth(service), {}, true});
  }
  return doors;
}

std::string AttackedSuite::log_file(Service service) const {
  return absl::StrCat(identities_.folder(), "/", harness::ServiceName(service), ".log");
}

std::string AttackedSuite::audit_file(Service service) const {
  return absl::StrCat(identities_.folder(), "/", harness::ServiceName(service), "-audit.log");
}

testing::AssertionResult AttackedSuite::Serves(Service service) {
  harness::Process& attacked = process(service);
  for (Target target : {ToGrpc(service), ToHealth(service)}) {
    target.from = kOthersAddress;
    const absl::Status health = CheckHealth(target);
    if (!attacked.Running()) {
      return testing::AssertionFailure() << attacked.name() << " has ended; its log says:\n"
                                         << attacked.LogTail();
    }
    if (!health.ok()) {
      return testing::AssertionFailure()
             << attacked.name() << " does not serve others: " << health;
    }
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult StayedSmall(const harness::Process& process) {
#ifdef CERTWRIGHT_SANITIZED
  return testing::AssertionSuccess();
#endif
  const int64_t peak = process.PeakRssKib();
  if (peak < kMaxRssKib) return testing::AssertionSuccess();
  return testing::AssertionFailure() << process.name() << " used " << peak / 1024 << " MiB";
}

}  // namespace certwright::attacks
