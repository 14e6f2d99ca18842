// Random: where product code gets randomness that tests must be able to decide: jitter,
// the choice of a moment in a window, resource uids. Key material does not come from here
// but from OpenSSL.
//
// Threading: all methods are safe from any thread.
#pragma once

#include <string>

#include "absl/time/time.h"

namespace certwright::base {

class Random {
 public:
  virtual ~Random() = default;
  // Uniform in [0, 1).
  virtual double Uniform() = 0;

  // `duration` times a factor uniform in [1 - fraction, 1 + fraction).
  absl::Duration Jitter(absl::Duration duration, double fraction) {
    return duration * (1 + fraction * (2 * Uniform() - 1));
  }

  // A random UUID (RFC 9562 version 4), lower case.
  std::string Uuid();

  // From the operating system's generator; never destroyed.
  static Random& Real();
};

// Always the same number: 0.5 by default, for which Jitter() changes nothing.
class FixedRandom final : public Random {
 public:
  explicit FixedRandom(double value = 0.5) : value_(value) {}
  double Uniform() override { return value_; }

 private:
  double value_;
};

}  // namespace certwright::base
