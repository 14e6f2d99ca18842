// Controller: workers that reconcile keys from a WorkQueue.
//
// A reconciler gets a key, reads the world and does what is needed; lost, doubled and
// reordered keys must not matter to it. What it returns decides what comes next:
//   error                 again later, with a delay that doubles with each failure;
//   ABORTED               again at once, not counted as a failure: a lost compare-and-swap
//                         (a key that only ever conflicts is slowed down like an error);
//   requeue_after         again after that time, with the count of failures cleared;
//   otherwise             nothing until the key is enqueued again; the count is cleared.
//
// Threading: all methods are safe from any thread. One key is never reconciled twice at the
// same time; each worker is a coroutine, so a waiting reconciler holds no thread. Reconcilers
// of different namespaces take turns at the threads.
// Lifetime: Stop() must have returned OK, or the executor have been stopped, before
// destruction.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/base/mutex.h"
#include "lib/base/random.h"
#include "lib/controller/event.h"
#include "lib/controller/work_queue.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::controller {

struct Result {
  std::optional<absl::Duration> requeue_after;
};

class Reconciler {
 public:
  virtual ~Reconciler() = default;
  virtual runtime::Awaitable<absl::StatusOr<Result>> Reconcile(runtime::Context context,
                                                               std::string key) = 0;
};

struct ControllerOptions {
  WorkQueue::Options queue;
  int workers = 64;
  absl::Duration reconcile_deadline = absl::Seconds(60);
  // Conflicts of one key in a row that are retried at once.
  int max_fast_conflicts = 5;
  // While this is an error, keys are not reconciled, as if each had failed with it: a store
  // that cannot be written could not keep what was begun. Empty: always OK.
  std::function<absl::Status()> gate = {};
};

class Controller {
 public:
  // All references must outlive this.
  Controller(std::string name, runtime::Executor executor, runtime::Timers& timers,
             base::Random& random, const ControllerOptions& options, Reconciler& reconciler);

  // Starts the workers, once. Nothing is enqueued by itself.
  void Start();

  void Enqueue(const std::string& key) { queue_.Add(key); }
  void EnqueueAfter(const std::string& key, absl::Duration delay) {
    queue_.AddAfter(key, delay);
  }

  // Starts no more work. For several controllers that are stopped together: all are shut down
  // first, so that what one still does begins nothing at another.
  void ShutDown();
  // ShutDown(), and waits for what runs, at most `grace`; then cancels it and waits for its
  // end, which is soon for what heeds its context, also without any grace. DEADLINE_EXCEEDED if
  // some work still runs 10 s after that.
  runtime::Awaitable<absl::Status> Stop(absl::Duration grace);

  const std::string& name() const { return name_; }
  const WorkQueue& queue() const { return queue_; }

 private:
  runtime::Awaitable<void> Work();
  runtime::Awaitable<void> Process(std::string key);
  void Settle(const std::string& key, const absl::StatusOr<Result>& result);
  bool ConflictIsFast(const std::string& key);
  void WorkerEnded();

  const std::string name_;
  const runtime::Executor executor_;
  runtime::Timers& timers_;
  const ControllerOptions options_;
  Reconciler& reconciler_;
  WorkQueue queue_;
  const std::shared_ptr<runtime::Cancellation> cancellation_;
  Event workers_ended_;
  mutable base::Mutex mutex_;
  bool stopping_ CW_GUARDED_BY(mutex_) = false;
  int running_workers_ CW_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int> conflicts_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::controller
