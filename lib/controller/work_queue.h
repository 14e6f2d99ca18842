// WorkQueue: a set-like queue of keys with delayed and rate-limited adds.
//
// Keys are "namespace/name", or "name" where there are no namespaces. Namespaces take turns, so
// that one with thousands of keys does not make those of others wait; within one the first to
// come is the first to go.
//
// A key is handed to at most one worker at a time. Adds while the key is queued collapse
// into one; adds while it is worked on run it once more after Done(). Every key got needs
// exactly one Done().
//
// Threading: all methods are safe from any thread; nothing of others runs under the lock.
// Lifetime: ShutDown() must be called and all Get() must have returned before destruction,
// or the executor that runs them must have been stopped.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/base/random.h"
#include "lib/controller/rate_limiter.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::controller {

// What a queue and its workers report as it happens. Called without locks, from any thread:
// must be quick and thread-safe. Each method may be left as it is.
class ControllerObserver {
 public:
  virtual ~ControllerObserver() = default;
  virtual void OnAdd() {}
  virtual void OnDepth(std::size_t /*depth*/) {}
  virtual void OnRetry() {}
  // From the add until a worker took the key.
  virtual void OnQueueLatency(absl::Duration /*latency*/) {}
  virtual void OnWorkDone(const std::string& /*key*/, absl::Duration /*duration*/,
                          const absl::Status& /*result*/) {}
};

class WorkQueue {
 public:
  struct Options {
    BackoffOptions backoff;
    ControllerObserver* observer = nullptr;  // may be null; must outlive the queue
  };
  // What is being worked on now.
  struct Unfinished {
    std::size_t count = 0;
    absl::Duration total;    // of the time spent so far
    absl::Duration longest;  // of one key
  };

  // `timers` and `random` must outlive this.
  WorkQueue(runtime::Timers& timers, base::Random& random, const Options& options);
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  // Ignored once the queue is shutting down, like all ways to add.
  void Add(const std::string& key);
  // Adds after `delay`. A key waits for one time only, the earliest asked for; Add() does
  // not take that back.
  void AddAfter(const std::string& key, absl::Duration delay);
  // AddAfter() with a delay that doubles with each such call until Forget().
  void AddRateLimited(const std::string& key);
  // Clears the count of failures and nothing else.
  void Forget(const std::string& key) { limiter_.Forget(key); }
  int NumRequeues(const std::string& key) const { return limiter_.NumRequeues(key); }

  // The next key, when there is one; nothing when the queue is shut down and empty.
  runtime::Awaitable<std::optional<std::string>> Get();
  // The next key if there is one now.
  std::optional<std::string> TryGet();
  void Done(const std::string& key);

  // Takes no more keys and drops the delayed ones. What is queued is still handed out.
  void ShutDown();
  // Likewise, and waits until nothing is queued or worked on, `context` ends, or ShutDown()
  // is called meanwhile.
  runtime::Awaitable<absl::Status> ShutDownWithDrain(runtime::Context context);

  std::size_t depth() const;
  std::size_t delayed() const;
  Unfinished unfinished() const;

 private:
  struct State;

  RateLimiter limiter_;
  // Shared with timer callbacks, which may come after this is gone.
  const std::shared_ptr<State> state_;
};

}  // namespace certwright::controller
