// What happened to a challenge between two of its states, for people.
#pragma once

#include <vector>

#include "certwright/solver/v1/challenge.pb.h"
#include "lib/service/events.h"

namespace certwright::solver {

// Pure. `before` is null for a challenge that is seen first. One that went several steps
// between two writes has the events of all of them.
std::vector<service::EventNews> EventsOf(const v1::Challenge* before, const v1::Challenge& now);

}  // namespace certwright::solver
