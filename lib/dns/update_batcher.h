// UpdateBatcher: sends the changes to one zone that come at about the same time as one
// UPDATE, because a server that writes each UPDATE to disk does dozens of them a second but
// thousands of records.
//
// Changes are for the same zone if servers, key name, TCP setting and zone are the same. A
// batch waits for `window`, and for the zone's UPDATE in flight, if there is one. It holds at
// most `max_changes` and about `max_bytes`; what is more goes with the next one, at once.
// Changes keep their order. If the server turns a batch down for what may be the fault of one
// change, its changes are sent one by one, so that each caller gets the result of its own.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/dns/rfc2136.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::dns {

// Threading: Apply() from any thread. Lifetime: `timers` and `updater` must outlive the
// executor's run; calls still waiting at destruction end with CANCELLED.
class UpdateBatcher {
 public:
  struct Options {
    absl::Duration window = absl::Milliseconds(5);
    std::size_t max_changes = 100;
    std::size_t max_bytes = 60'000;
    // For one UPDATE; its callers' own deadlines do not shorten it for each other.
    absl::Duration update_timeout = absl::Seconds(30);
  };

  UpdateBatcher(runtime::Executor executor, runtime::Timers& timers, TxtUpdater& updater);
  UpdateBatcher(runtime::Executor executor, runtime::Timers& timers, TxtUpdater& updater,
                Options options);
  ~UpdateBatcher();
  UpdateBatcher(const UpdateBatcher&) = delete;
  UpdateBatcher& operator=(const UpdateBatcher&) = delete;

  // The result of this change. When the context ends first, the change may or may not take
  // effect: one that was not sent yet is dropped. Errors as Rfc2136Client's.
  runtime::Awaitable<absl::Status> Apply(runtime::Context context, UpdateTarget target,
                                         TxtChange change);

 private:
  class Queues;

  // A coroutine of its own, not of this object, which may be gone before it ends.
  static runtime::Awaitable<absl::Status> Run(std::shared_ptr<Queues> queues,
                                              runtime::Context context, UpdateTarget target,
                                              TxtChange change);

  std::shared_ptr<Queues> queues_;
};

}  // namespace certwright::dns
