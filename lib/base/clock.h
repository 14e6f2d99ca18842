// Clock: the only way product code learns what time it is, so that tests decide it.
//
// Two readings, never mixed: wall time for what is written down or compared with a
// certificate or an HTTP date, monotonic time for deadlines and back-off, which a
// stepped wall clock must not shorten or stretch.
//
// Threading: all methods are safe from any thread.
#pragma once

#include <compare>

#include "absl/time/time.h"

namespace certwright::base {

// A moment on the monotonic clock, as time since an arbitrary origin of this process.
struct MonotonicTime {
  absl::Duration since_origin;

  friend auto operator<=>(const MonotonicTime& a, const MonotonicTime& b) {
    return a.since_origin < b.since_origin   ? std::strong_ordering::less
           : b.since_origin < a.since_origin ? std::strong_ordering::greater
                                             : std::strong_ordering::equal;
  }
  friend bool operator==(const MonotonicTime& a, const MonotonicTime& b) {
    return a.since_origin == b.since_origin;
  }
  friend MonotonicTime operator+(MonotonicTime t, absl::Duration d) {
    return {t.since_origin + d};
  }
  friend absl::Duration operator-(MonotonicTime a, MonotonicTime b) {
    return a.since_origin - b.since_origin;
  }
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
  virtual MonotonicTime MonotonicNow() const = 0;

  // The process's real clocks; never destroyed.
  static Clock& Real();
};

}  // namespace certwright::base
