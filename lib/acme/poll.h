// When to look again at an order or authorization that the CA is still working
// on.
#pragma once

#include <optional>

#include "absl/time/time.h"
#include "lib/base/random.h"

namespace certwright::acme {

// The wait before poll number `attempt` (0 is the first): what the CA's
// Retry-After says, if it lies ahead, but at most kMaxPollDelay; else 20 ms,
// growing by 1.7 each time up to 5 s, with a jitter of a fifth.
absl::Duration NextPollDelay(int attempt, std::optional<absl::Time> retry_at, absl::Time now,
                             base::Random& random);

}  // namespace certwright::acme
