#include "lib/acme/poll.h"

#include <algorithm>
#include <cmath>

#include "lib/acme/retry_after.h"

namespace certwright::acme {
namespace {

constexpr double kFirstSeconds = 0.02;
constexpr double kGrowth = 1.7;
constexpr double kLongestSeconds = 5;
constexpr double kJitter = 0.2;

}  // namespace

absl::Duration NextPollDelay(int attempt, std::optional<absl::Time> retry_at, absl::Time now,
                             base::Random& random) {
  if (retry_at.has_value() && *retry_at > now) return std::min(*retry_at - now, kMaxPollDelay);
  const double seconds =
      std::min(kFirstSeconds * std::pow(kGrowth, std::max(attempt, 0)), kLongestSeconds);
  return random.Jitter(absl::Seconds(seconds), kJitter);
}

}  // namespace certwright::acme
