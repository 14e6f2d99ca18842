// What a service took of the machine over a soak, sampled, and whether that stayed flat.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace certwright::soak {

struct Sample {
  // Since its process began.
  absl::Duration age;
  double value = 0;
};

// The samples of one process, in order of age.
using Life = std::vector<Sample>;

struct Range {
  double min = 0;
  double max = 0;
};

struct FlatnessRule {
  // Growth that is no growth: parts of the value, and in its own unit.
  double share = 0.1;
  double slack = 0;
  // What a process that lives on takes before this age is not looked at.
  absl::Duration warm_up = absl::Minutes(5);
};

struct Flatness {
  // Nullopt: too little was seen to judge.
  std::optional<bool> flat;
  // What was compared: at the beginning, and at the end.
  double early = 0;
  double late = 0;
};

// Whether the last lives ended where the first ones did.
//
// One life: the peaks of its minutes after the warm-up, of which there must be four, the later
// half against the earlier. More: their values at the greatest age that all but the first and
// shorter ones have reached, the later half of the lives against the earlier; the first life is
// not looked at, and four others are needed.
Flatness JudgeFlatness(const std::vector<Life>& lives, const FlatnessRule& rule);

// Over all samples of an age of at least `warm_up`; over all, if there are none.
Range RangeOf(const std::vector<Life>& lives, absl::Duration warm_up);

// Of a process that runs; 0 if it does not.
double ResidentMib(int pid);
double OpenFiles(int pid);

}  // namespace certwright::soak
