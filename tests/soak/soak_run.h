// A soak: the three services issue from our own CA for a long time, at an even pace, while the
// CA's answers go wrong by chance and the services are killed in turn; then all is looked over.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/harness/suite.h"
#include "tests/soak/process_samples.h"

namespace certwright::soak {

struct SoakOptions {
  // Over which the issuances are spread.
  absl::Duration duration = absl::Minutes(30);
  int issuances = 20'000;
  // Certificates that there are at a time.
  int population = 500;
  // Issuances that may be under way at once.
  int concurrency = 64;
  // Of the CA's answers.
  double fault_percent = 5;
  // Zero: nobody is killed.
  absl::Duration kill_every = absl::Seconds(60);
  // Where the services are; see harness::SuiteOptions.
  std::string binaries = {};
};

struct ServiceReport {
  Range rss_mib;
  Range files;
  Flatness memory_flatness;
  Flatness files_flatness;
  double store_mib = 0;
  int kills = 0;
};

struct SoakReport {
  int issuances = 0;
  absl::Duration duration = {};
  // Issuances that failed, and were asked for again.
  int retried = 0;
  // Of what was asked of the CA, those that were answered wrongly.
  int faults = 0;
  // What the CA has made.
  int ca_orders = 0;
  int ca_certificates = 0;
  // Orders and Challenges that should be gone.
  int orphans = 0;
  std::array<ServiceReport, 3> services;
  // What was not as it should be; empty if the soak has passed.
  std::vector<std::string> failures;
};

// The error only says that no soak could be made.
absl::StatusOr<SoakReport> RunSoak(const SoakOptions& options);

// One line.
std::string ToJson(const SoakReport& report);

}  // namespace certwright::soak
