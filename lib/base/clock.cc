#include "lib/base/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace certwright::base {
namespace {

class RealClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
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
