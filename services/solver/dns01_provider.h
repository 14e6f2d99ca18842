// Dns01Provider: adds and removes TXT values where a zone is kept.
//
// Both calls name one value: others at the same name are left alone (where the provider can
// hold several), and both may be repeated. Errors: INVALID_ARGUMENT for a record that cannot
// exist, FAILED_PRECONDITION for what an operator has to mend, UNAVAILABLE for what may pass.
// An error after which nothing can have been changed, then or later, is marked so.
// Threading: safe from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "services/solver/solver_configs.h"

namespace certwright::solver {

struct Dns01Record {
  std::string name;  // after aliases
  std::string zone;
  std::string value;
  uint32_t ttl_seconds = 60;
};

struct Dns01Capabilities {
  // How many TXT values a name can have at once; 0 for no limit.
  int max_values_per_name = 0;
};

class Dns01Provider {
 public:
  virtual ~Dns01Provider() = default;
  virtual Dns01Capabilities capabilities() const = 0;
  // What tells accounts at providers apart, for limits and messages. No secret.
  virtual std::string account() const = 0;
  virtual runtime::Awaitable<absl::Status> Present(runtime::Context context,
                                                   Dns01Record record) = 0;
  virtual runtime::Awaitable<absl::Status> CleanUp(runtime::Context context,
                                                   Dns01Record record) = 0;
};

class Dns01Providers {
 public:
  virtual ~Dns01Providers() = default;
  // The provider of a DNS-01 solver. UNIMPLEMENTED if this version has none of that kind,
  // FAILED_PRECONDITION if its settings cannot be used.
  virtual absl::StatusOr<std::shared_ptr<Dns01Provider>> Find(
      std::shared_ptr<const SolverConfig> config) = 0;
};

absl::Status MarkNothingChanged(absl::Status error);
bool NothingChanged(const absl::Status& error);

// What the configuration calls the solver's provider: "cloudflare", "route53", …; "none".
std::string ProviderName(const issuer::v1::Dns01Solver& solver);

// The error for a provider that this version does not have.
absl::Status UnsupportedProvider(const issuer::v1::Dns01Solver& solver);

}  // namespace certwright::solver
