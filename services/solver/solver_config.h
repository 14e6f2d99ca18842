// The solver service's configuration: its rules, and what it comes down to.
#pragma once

#include <string>
#include <vector>

#include "certwright/config/v1/solver_config.pb.h"
#include "lib/dns/server_policy.h"
#include "lib/http/address_ranges.h"
#include "services/solver/scheduler.h"

namespace certwright::solver {

struct SolverOptions {
  int workers = 256;
  Scheduler::Limits limits;
  // Recursive nameservers; empty for the system's.
  std::vector<std::string> nameservers;
  int authoritative_port = 53;
  dns::ServerPolicy dns_policy;
  http::AddressRanges allowed_ranges;
  // Empty: no HTTP-01.
  std::string http01_listen;
  // How long a finished challenge is kept.
  absl::Duration retention = absl::Hours(1);
};

// Every problem of the configuration, "field: rule" each.
std::vector<std::string> ValidateConfig(const config::v1::SolverConfig& config);

// `config` is valid.
SolverOptions ToOptions(const config::v1::SolverConfig& config);

}  // namespace certwright::solver
