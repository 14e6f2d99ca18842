// The Retry-After header (RFC 9110 §10.2.3): when a CA wants to be asked again.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace certwright::acme {

// The longest wait that a poll obeys; a CA that asks for more gets this.
inline constexpr absl::Duration kMaxPollDelay = absl::Seconds(60);
// Rate limits and outages may ask for days, but not for centuries.
inline constexpr absl::Duration kMaxRetryAfter = absl::Hours(7 * 24);
// A rate limit that does not say how long.
inline constexpr absl::Duration kDefaultRateLimitDelay = absl::Hours(1);

// The moment that a header value (delta-seconds, or any of the three forms of
// HTTP-date) stands for. nullopt for garbage, negative numbers, and dates that
// have passed; at most kMaxRetryAfter after `now`.
std::optional<absl::Time> ParseRetryAfter(absl::string_view value, absl::Time now);

}  // namespace certwright::acme
