#include "lib/runtime/timers.h"

#include <algorithm>
#include <map>
#include <utility>

#include "boost/asio/steady_timer.hpp"
#include "lib/base/mutex.h"
#include "lib/base/status_macros.h"

namespace certwright::runtime {
namespace {

class AsioTimers final : public Timers {
 public:
  AsioTimers(Executor executor, const base::Clock& clock)
      : executor_(std::move(executor)), clock_(clock), state_(std::make_shared<State>()) {}
  ~AsioTimers() override {
    // Destroyed outside the lock: a callback's captures may cancel other timers.
    std::map<TimerId, std::shared_ptr<Timer>> timers;
    base::MutexLock lock(state_->mutex);
    timers.swap(state_->timers);
  }

  const base::Clock& clock() const override { return clock_; }

  TimerId ScheduleAt(base::MonotonicTime when, absl::AnyInvocable<void()> callback) override {
    const absl::Duration delay = std::max(when - clock_.MonotonicNow(), absl::ZeroDuration());
    auto timer = std::make_shared<Timer>(executor_, std::move(callback));
    timer->timer.expires_after(absl::ToChronoNanoseconds(delay));
    TimerId id = 0;
    {
      base::MutexLock lock(state_->mutex);
      id = state_->next_id++;
      state_->timers.emplace(id, timer);
    }
    timer->timer.async_wait([state = state_, id](const boost::system::error_code& error) {
      if (error) return;
      if (auto due = state->Take(id)) due->callback();
    });
    return id;
  }

  bool Cancel(TimerId id) override { return state_->Take(id) != nullptr; }

 private:
  struct Timer {
    Timer(const Executor& executor, absl::AnyInvocable<void()> callback)
        : timer(executor), callback(std::move(callback)) {}
    boost::asio::steady_timer timer;
    absl::AnyInvocable<void()> callback;
  };
  struct State {
    base::Mutex mutex;
    TimerId next_id CW_GUARDED_BY(mutex) = 1;
    std::map<TimerId, std::shared_ptr<Timer>> timers CW_GUARDED_BY(mutex);

    // Whoever takes the timer out either runs it or destroys it, which cancels the wait.
    std::shared_ptr<Timer> Take(TimerId id) {
      base::MutexLock lock(mutex);
      auto it = timers.find(id);
      if (it == timers.end()) return nullptr;
      std::shared_ptr<Timer> timer = std::move(it->second);
      timers.erase(it);
      return timer;
    }
  };

  Executor executor_;
  const base::Clock& clock_;
  std::shared_ptr<State> state_;
};

// The first of timer and cancellation to come completes the sleep; the other finds it done.
struct Sleep {
  base::Mutex mutex;
  absl::AnyInvocable<void(absl::Status)> done CW_GUARDED_BY(mutex);

  void Complete(absl::Status status) {
    absl::AnyInvocable<void(absl::Status)> taken;
    {
      base::MutexLock lock(mutex);
      taken = std::move(done);
      done = nullptr;
    }
    if (taken) taken(std::move(status));
  }
};

}  // namespace

std::unique_ptr<Timers> MakeAsioTimers(Executor executor, const base::Clock& clock) {
  return std::make_unique<AsioTimers>(std::move(executor), clock);
}

Awaitable<absl::Status> SleepFor(Timers& timers, Context context, absl::Duration delay) {
  CW_CO_RETURN_IF_ERROR(context.Check());
  const absl::Duration remaining = context.Remaining();
  const bool too_long = remaining < delay;
  auto sleep = std::make_shared<Sleep>();
  Timers::TimerId timer = 0;
  uint64_t registration = 0;
  auto start = [&](absl::AnyInvocable<void(absl::Status)> done) {
    {
      base::MutexLock lock(sleep->mutex);
      sleep->done = std::move(done);
    }
    // Both ids are written before either callback can resume this coroutine: it resumes
    // through a post to its strand, on which this function runs.
    timer = timers.ScheduleAfter(std::min(delay, remaining),
                                 [sleep] { sleep->Complete(absl::OkStatus()); });
    if (context.cancellation() != nullptr) {
      registration = context.cancellation()->Register(
          [sleep] { sleep->Complete(absl::CancelledError("cancelled by the caller")); });
    }
  };
  absl::Status status = co_await AwaitCallback<absl::Status>(std::move(start));
  timers.Cancel(timer);
  if (context.cancellation() != nullptr) context.cancellation()->Unregister(registration);
  if (status.ok() && too_long) status = absl::DeadlineExceededError("the deadline has passed");
  co_return status;
}

}  // namespace certwright::runtime
