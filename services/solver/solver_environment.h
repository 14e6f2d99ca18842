// SolverEnvironment: what reconciling a challenge takes from outside. References only:
// whoever makes it keeps what it names alive longer than the work.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lib/base/random.h"
#include "lib/runtime/timers.h"
#include "services/solver/certificate_authority.h"
#include "services/solver/challenge_record.h"
#include "services/solver/dns01_provider.h"
#include "services/solver/http01_responder.h"
#include "services/solver/presented_configs.h"
#include "services/solver/record_location.h"
#include "services/solver/recursive_nameservers.h"
#include "services/solver/scheduler.h"
#include "services/solver/self_check.h"
#include "services/solver/solver_configs.h"

namespace certwright::solver {

struct SolverSettings {
  RecursiveNameservers nameservers;
  // Whether there is a listener for HTTP-01.
  bool http01_enabled = true;
  // How long a finished challenge is kept.
  absl::Duration retention = absl::Hours(1);
};

struct SolverEnvironment {
  runtime::Timers& timers;
  base::Random& random;
  ChallengeStore& challenges;
  PresentationStore& presentations;
  CertificateAuthorities& authorities;
  SolverConfigs& configs;
  Dns01Providers& providers;
  RecordLocator& locator;
  SelfCheck& dns01_check;
  SelfCheck& http01_check;
  Scheduler& scheduler;
  Http01Tokens& tokens;
  PresentedConfigs& presented_configs;
  SolverSettings settings;
  // Told of every challenge that reaches its final state.
  std::function<void(const v1::Challenge& challenge)> on_final;
  // Told of every attempt to remove a proof, but for those that something else has cut off.
  std::function<void(const ledger::Presentation& presentation, const absl::Status& removed)>
      on_clean_up;

  const base::Clock& clock() const { return timers.clock(); }
  absl::Time Now() const { return clock().Now(); }
};

}  // namespace certwright::solver
