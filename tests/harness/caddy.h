// Caddy's ACME server as a child process, under a root made on the spot. It validates for real,
// and only at port 80 and through the system's resolver: it needs a network of its own
// (own_network.h).
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tests/harness/process.h"

namespace certwright::harness {

class Caddy {
 public:
  // `folder` is its own, and exists. Returns once it answers.
  static absl::StatusOr<std::unique_ptr<Caddy>> Start(const std::string& folder);

  std::string directory_url() const;
  // What it issues under, and its TLS leads to.
  const std::string& root_pem() const { return root_pem_; }
  Process& process() { return *process_; }

 private:
  Caddy() = default;

  std::unique_ptr<Process> process_;
  std::string root_pem_;
  int port_ = 0;
};

}  // namespace certwright::harness
