// Event: something that happens once and that coroutines wait for.
//
// Threading: safe from any thread. Waiters may outlive the event's owner.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "lib/base/mutex.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::controller {

class Event {
 public:
  Event() : state_(std::make_shared<State>()) {}

  // Wakes all that wait, now and later. Setting it again changes nothing.
  void Set();
  bool is_set() const;

  // OK once set; CANCELLED or DEADLINE_EXCEEDED if `context` ends before.
  runtime::Awaitable<absl::Status> Wait(runtime::Timers& timers, runtime::Context context);

 private:
  using Done = absl::AnyInvocable<void(absl::Status)>;
  struct State {
    mutable base::Mutex mutex;
    bool set CW_GUARDED_BY(mutex) = false;
    uint64_t next_id CW_GUARDED_BY(mutex) = 1;
    std::map<uint64_t, Done> waiters CW_GUARDED_BY(mutex);

    // 0 if it is set already: then `done` has been called.
    uint64_t Add(Done done);
    void Complete(uint64_t id, absl::Status status);
  };
  static runtime::Awaitable<absl::Status> WaitFor(std::shared_ptr<State> state,
                                                  runtime::Timers& timers,
                                                  runtime::Context context);

  std::shared_ptr<State> state_;
};

}  // namespace certwright::controller
