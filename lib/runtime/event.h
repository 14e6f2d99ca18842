// Event: something that happens once, and that coroutines wait for.
//
// Threading: safe from any thread. It must live until its waits have ended.
#pragma once

#include "absl/status/status.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::runtime {

class Event {
 public:
  // Wakes all who wait. It stays set.
  void Set() { set_.Cancel(); }
  bool IsSet() const { return set_.cancelled(); }

  // OK once it is set; CANCELLED or DEADLINE_EXCEEDED if `context` ends before that.
  Awaitable<absl::Status> Wait(Timers& timers, Context context);

 private:
  // A cancellation wakes who listens, once and for good, which is what is wanted here too.
  Cancellation set_;
};

}  // namespace certwright::runtime
