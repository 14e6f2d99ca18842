// StepCa: Smallstep's CA as a child process, with an ACME provisioner under a root made on the
// spot. It validates for real: over HTTP at `http_port` and through `dns_server`.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/harness/process.h"

namespace certwright::harness {

struct StepCaOptions {
  // A folder of its own, which exists.
  std::string folder;
  // Where it looks for HTTP-01 tokens.
  int http_port = 0;
  // "address:port" of the resolver it asks.
  std::string dns_server;
  // How long certificates are valid that ask for no other time: at least 30 s.
  absl::Duration validity = absl::Hours(24);
};

class StepCa {
 public:
  // Returns once it answers.
  static absl::StatusOr<std::unique_ptr<StepCa>> Start(StepCaOptions options);

  std::string directory_url() const;
  // What it issues under, and its TLS leads to.
  const std::string& root_pem() const { return root_pem_; }
  // The CRL it publishes, in PEM.
  absl::StatusOr<std::string> FetchCrl() const;
  Process& process() { return *process_; }

 private:
  StepCa() = default;
  std::string Url(const std::string& path) const;

  std::unique_ptr<Process> process_;
  std::string root_pem_;
  int port_ = 0;
};

}  // namespace certwright::harness
