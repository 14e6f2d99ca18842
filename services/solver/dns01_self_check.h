// Dns01SelfCheck: asks the nameservers of a name's zone for the TXT value.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/dns/propagation.h"
#include "services/solver/recursive_nameservers.h"
#include "services/solver/self_check.h"

namespace certwright::solver {

struct Dns01CheckOptions {
  // To find zones with.
  RecursiveNameservers nameservers;
  // Where nameservers of zones are asked.
  int authoritative_port = 53;
};

class Dns01SelfCheck final : public SelfCheck {
 public:
  // `checker` must outlive this.
  Dns01SelfCheck(dns::PropagationChecker& checker, Dns01CheckOptions options)
      : checker_(checker), options_(std::move(options)) {}

  runtime::Awaitable<absl::StatusOr<SelfCheckResult>> Check(
      runtime::Context context, const v1::Challenge& challenge,
      std::shared_ptr<const SolverConfig> config) override;

 private:
  dns::PropagationChecker& checker_;
  const Dns01CheckOptions options_;
};

// "_acme-challenge.<name>" (RFC 8555 §8.4).
std::string ChallengeRecordName(const std::string& dns_name);

v1::PropagationFinding ToProto(const dns::Finding& finding);

// "ns2.example.test (192.0.2.1:53) does not have the record yet": the first of the findings
// that stand against the record, and how many more there are. Empty if it is propagated.
std::string DescribePropagation(const dns::PropagationReport& report);

}  // namespace certwright::solver
