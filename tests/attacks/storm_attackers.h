// What the attackers of a storm do, over and over, by chance: each has one connection at a time
// and does whatever it thinks hurts most.
#pragma once

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/base/mutex.h"
#include "tests/attacks/http2_attacker.h"

namespace certwright::attacks {

// How the attackers' calls ended, by name of the gRPC code, or "reset", "closed", "no answer".
// Safe from any thread.
class Tally {
 public:
  void Count(const absl::StatusOr<Response>& outcome);
  std::map<std::string, int64_t> counts() const;

 private:
  mutable base::Mutex mutex_;
  std::map<std::string, int64_t> counts_ CW_GUARDED_BY(mutex_);
};

// Until asked to stop: somebody without credentials, at a target of these at a time.
void AttackAsStranger(const std::vector<Target>& targets, uint64_t seed, Tally& tally,
                      const std::stop_token& stop);

// Until asked to stop: a requester in "team-a", who shows `credentials` at the issuer. Creates,
// changes and lists Certificates of the ClusterIssuer `issuer` as fast as it can.
void FloodAsRequester(const Target& issuer_service, const Headers& credentials,
                      const std::string& issuer, uint64_t seed, Tally& tally,
                      const std::stop_token& stop);

// Likewise, but asks for everything and reads nothing of it.
void HoardAsRequester(const Target& issuer_service, const Headers& credentials, Tally& tally,
                      const std::stop_token& stop);

}  // namespace certwright::attacks
