// What one of a clock's readings will be when the other is at a given moment, if nobody sets
// the wall clock until then: what is to be done "in five seconds" is remembered on the
// monotonic clock, so that it stays so when the wall clock is set. Infinite times stay
// infinite.
#pragma once

#include "absl/time/time.h"
#include "lib/base/clock.h"

namespace certwright::base {

inline MonotonicTime MonotonicAt(const Clock& clock, absl::Time time) {
  return clock.MonotonicNow() + (time - clock.Now());
}

inline absl::Time WallAt(const Clock& clock, MonotonicTime time) {
  return clock.Now() + (time - clock.MonotonicNow());
}

}  // namespace certwright::base
