#include "lib/service/background_work.h"

#include <cstdlib>
#include <utility>

#include "boost/asio/post.hpp"
#include "lib/runtime/run_sync.h"
#include "lib/telemetry/log.h"

namespace certwright::service {
namespace {

// For tasks, which are cancelled at once, beyond the grace.
constexpr absl::Duration kCancelledTaskLimit = absl::Seconds(10);

}  // namespace

BackgroundWork::BackgroundWork(runtime::Executor executor, runtime::Timers& timers)
    : executor_(std::move(executor)),
      timers_(timers),
      cancellation_(std::make_shared<runtime::Cancellation>()) {}

BackgroundWork::~BackgroundWork() { Stop(absl::ZeroDuration()); }

bool BackgroundWork::BeginTask() {
  base::MutexLock lock(mutex_);
  if (stopping_) return false;
  ++running_tasks_;
  return true;
}

void BackgroundWork::EndTask() {
  bool last = false;
  {
    base::MutexLock lock(mutex_);
    last = --running_tasks_ == 0 && stopping_;
  }
  if (last) tasks_ended_.Set();
}

runtime::Awaitable<void> BackgroundWork::RunTask(runtime::Awaitable<void> task) {
  co_await std::move(task);
  EndTask();
}

void BackgroundWork::Spawn(runtime::Awaitable<void> task) {
  if (BeginTask()) runtime::Spawn(executor_, RunTask(std::move(task)));
}

void BackgroundWork::Post(std::function<void()> task) {
  if (!BeginTask()) return;
  boost::asio::post(executor_, [this, task = std::move(task)] {
    task();
    EndTask();
  });
}

void BackgroundWork::Stop(absl::Duration grace) {
  bool idle = false;
  {
    base::MutexLock lock(mutex_);
    if (std::exchange(stopping_, true)) return;
    idle = running_tasks_ == 0;
  }
  if (idle) tasks_ended_.Set();
  for (controller::Controller* controller : controllers_) controller->ShutDown();
  cancellation_->Cancel();

  std::vector<runtime::Awaitable<absl::Status>> ends;
  for (controller::Controller* controller : controllers_) {
    ends.push_back(controller->Stop(grace));
  }
  ends.push_back(tasks_ended_.Wait(
      timers_, runtime::Context::WithTimeout(timers_.clock(), grace + kCancelledTaskLimit)));
  const auto ended =
      runtime::RunSync<std::vector<absl::Status>>(runtime::WhenAll(std::move(ends)));
  for (const absl::Status& status : ended) {
    if (status.ok()) continue;
    telemetry::LogError("work does not end", {{"error", status.message()}});
    std::abort();
  }
  while (!sources_.empty()) {
    sources_.back()();
    sources_.pop_back();
  }
}

}  // namespace certwright::service
