// A storm: the three services issue certificates for one identity, at first in peace, then
// while somebody without credentials attacks them, then while a requester of another namespace
// does, and then in peace again.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace certwright::attacks {

// What the manifests in k8s/base give each service.
inline constexpr double kMaxRssMib = 256;

struct StormOptions {
  // Of each of the four parts.
  absl::Duration duration = absl::Seconds(60);
  // Of the attacker.
  int connections = 16;
};

struct PartReport {
  // "calm", "strangers", "requester", "calm-again"
  std::string name;
  int issued = 0;
  // From the call that creates a Certificate to its being Ready.
  absl::Duration p50;
  absl::Duration p99;
  // The highest so far: issuer, order, solver.
  std::array<double, 3> rss_mib = {};
  // How the attacker's calls ended.
  std::map<std::string, int64_t> attackers_calls = {};
};

struct StormReport {
  std::vector<PartReport> parts;
  // Lines of logs and audit logs that are not the services' own.
  int foreign_lines = 0;
  // What must not be, however slow the machine is; empty if nothing was wrong.
  std::vector<std::string> failures;

  // How much longer the slowest issuances took at the worst than on average in peace.
  double p99_ratio() const;
};

// The error only says that no storm could be made.
absl::StatusOr<StormReport> RunStorm(const StormOptions& options);

// One line.
std::string ToJson(const StormReport& report);

}  // namespace certwright::attacks
