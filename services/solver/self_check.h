// SelfCheck: looks where the CA will look, before the CA is asked to.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/solver/v1/challenge.pb.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "services/solver/solver_configs.h"

namespace certwright::solver {

struct SelfCheckResult {
  // The CA would find the proof.
  bool found = false;
  // What was seen, as a sentence; empty if it was found. Never holds what a server sent.
  std::string reason;
  // Per nameserver; only of DNS-01.
  std::vector<v1::PropagationFinding> findings;
};

class SelfCheck {
 public:
  virtual ~SelfCheck() = default;
  // Looks once. A proof that is not there is a result; an error says that nothing could be
  // found out. Threading: safe from any thread.
  virtual runtime::Awaitable<absl::StatusOr<SelfCheckResult>> Check(
      runtime::Context context, const v1::Challenge& challenge,
      std::shared_ptr<const SolverConfig> config) = 0;
};

}  // namespace certwright::solver
