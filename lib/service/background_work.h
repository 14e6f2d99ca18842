// BackgroundWork: what a service does of itself, beside answering calls: its controllers, what
// brings them keys, and tasks; and the one order in which all of that ends.
//
// Threading: Spawn() and Post() are safe from any thread; the rest is for one thread at a time,
// which is none of the executor's.
// Lifetime: to be the last member of its owner, so that everything has ended before anything
// that it uses goes. The executor's threads must run until Stop() has returned.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "lib/base/mutex.h"
#include "lib/controller/controller.h"
#include "lib/controller/event.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::service {

class BackgroundWork {
 public:
  // `timers` must outlive this.
  BackgroundWork(runtime::Executor executor, runtime::Timers& timers);
  // Stops without a grace.
  ~BackgroundWork();
  BackgroundWork(const BackgroundWork&) = delete;
  BackgroundWork& operator=(const BackgroundWork&) = delete;

  // To be stopped with the others, once it has been started.
  void Add(controller::Controller& controller) { controllers_.push_back(&controller); }
  // `stop` ends what calls the owner of its own accord (an informer, a listener): no such call
  // runs any more when it has returned, whether or not it was ever started.
  void AddSource(std::function<void()> stop) { sources_.push_back(std::move(stop)); }

  // On the executor. A task that comes after Stop() has begun is dropped.
  void Spawn(runtime::Awaitable<void> task);
  void Post(std::function<void()> task);
  // Cancelled when Stop() begins, for tasks that wait for something.
  const std::shared_ptr<runtime::Cancellation>& cancellation() const { return cancellation_; }

  // First no controller and nobody else takes new work; then all that runs may finish within
  // one `grace`, and is cancelled; when nothing runs any more sources end, the last one first.
  // Blocks. Later calls do nothing. Work that does not heed its cancellation ends the process:
  // what it uses could not be destroyed.
  void Stop(absl::Duration grace);

 private:
  runtime::Awaitable<void> RunTask(runtime::Awaitable<void> task);
  bool BeginTask();
  void EndTask();

  const runtime::Executor executor_;
  runtime::Timers& timers_;
  const std::shared_ptr<runtime::Cancellation> cancellation_;
  std::vector<controller::Controller*> controllers_;
  std::vector<std::function<void()>> sources_;
  controller::Event tasks_ended_;
  base::Mutex mutex_;
  bool stopping_ CW_GUARDED_BY(mutex_) = false;
  int running_tasks_ CW_GUARDED_BY(mutex_) = 0;
};

}  // namespace certwright::service
