#include "lib/base/clock.h"

#include <chrono>

#include "absl/time/time.h"

namespace certwright::base {
namespace {

class RealClock final : public Clock {
 public:
  // Not Abseil's Now(), which goes on by the processor's counter for two seconds when somebody
  // sets the clock, while gRPC's deadlines are by the clock that was set.
  absl::Time Now() const override { return absl::FromChrono(std::chrono::system_clock::now()); }
  MonotonicTime MonotonicNow() const override {
    return {absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch())};
  }
};

}  // namespace

Clock& Clock::Real() {
  static RealClock& clock = *new RealClock;
  return clock;
}

}  // namespace certwright::base
