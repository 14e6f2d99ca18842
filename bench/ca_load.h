// CaLoad: has a CA that assumes validity issue as fast as it can, over connections that stay
// open, with keys and requests for certificates made beforehand.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/fakes/ca_server.h"

namespace certwright::bench {

struct CaLoadResult {
  absl::Duration elapsed;
  // User and system time meanwhile: of the threads that drive the CA, and of the rest of this
  // process, which is the CA.
  absl::Duration client_cpu;
  absl::Duration ca_cpu;
  // Of each certificate, from newOrder to the chain.
  std::vector<absl::Duration> latencies;
  int requests = 0;
};

// `certificates` by as many accounts as there are connections, each on a thread of its own.
absl::StatusOr<CaLoadResult> RunCaLoad(const fakes::CaServer& ca, int certificates,
                                       int connections);

// What one core does in a second of its time of the work that no CA and client can do without.
struct CryptoRates {
  double signatures = 0;
  double verifications = 0;
};
CryptoRates MeasureCrypto();

}  // namespace certwright::bench
