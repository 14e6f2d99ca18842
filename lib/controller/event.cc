#include "lib/controller/event.h"

#include <utility>

#include "lib/base/status_macros.h"

namespace certwright::controller {

void Event::Set() {
  // A waiter may destroy this event as soon as it is woken.
  const std::shared_ptr<State> state = state_;
  std::map<uint64_t, Done> waiters;
  {
    base::MutexLock lock(state->mutex);
    state->set = true;
    waiters.swap(state->waiters);
  }
  for (auto& [id, done] : waiters) done(absl::OkStatus());
}

bool Event::is_set() const {
  base::MutexLock lock(state_->mutex);
  return state_->set;
}

uint64_t Event::State::Add(Done done) {
  {
    base::MutexLock lock(mutex);
    if (!set) {
      const uint64_t id = next_id++;
      waiters.emplace(id, std::move(done));
      return id;
    }
  }
  done(absl::OkStatus());
  return 0;
}

void Event::State::Complete(uint64_t id, absl::Status status) {
  Done done;
  {
    base::MutexLock lock(mutex);
    auto it = waiters.find(id);
    if (it == waiters.end()) return;
    done = std::move(it->second);
    waiters.erase(it);
  }
  done(std::move(status));
}

runtime::Awaitable<absl::Status> Event::Wait(runtime::Timers& timers,
                                             runtime::Context context) {
  return WaitFor(state_, timers, std::move(context));
}

runtime::Awaitable<absl::Status> Event::WaitFor(std::shared_ptr<State> state,
                                                runtime::Timers& timers,
                                                runtime::Context context) {
  CW_CO_RETURN_IF_ERROR(context.Check());
  runtime::Timers::TimerId timer = 0;
  uint64_t registration = 0;
  auto start = [&](Done done) {
    const uint64_t id = state->Add(std::move(done));
    if (id == 0) return;
    // Written before this coroutine can resume, which it does through a post to its strand.
    timer = timers.ScheduleAfter(context.Remaining(), [state, id] {
      state->Complete(id, absl::DeadlineExceededError("the deadline has passed"));
    });
    if (context.cancellation() != nullptr) {
      registration = context.cancellation()->Register([state, id] {
        state->Complete(id, absl::CancelledError("cancelled by the caller"));
      });
    }
  };
  absl::Status status = co_await runtime::AwaitCallback<absl::Status>(std::move(start));
  if (timer != 0) timers.Cancel(timer);
  if (registration != 0) context.cancellation()->Unregister(registration);
  co_return status;
}

}  // namespace certwright::controller
