#include "lib/controller/work_queue.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "lib/base/mutex.h"
#include "lib/controller/event.h"

namespace certwright::controller {

using MaybeKey = std::optional<std::string>;

namespace {

// Whose turn it is.
class FairQueue {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  void Push(const std::string& key) {
    const std::string name_space = key.substr(0, key.find('/'));
    std::deque<std::string>& keys = keys_[name_space];
    if (keys.empty()) turns_.push_back(name_space);
    keys.push_back(key);
    ++size_;
  }

  // Not when it is empty.
  std::string Pop() {
    const auto keys = keys_.find(turns_.front());
    std::string key = std::move(keys->second.front());
    keys->second.pop_front();
    if (keys->second.empty()) {
      keys_.erase(keys);
    } else {
      turns_.push_back(turns_.front());
    }
    turns_.pop_front();
    --size_;
    return key;
  }

 private:
  std::map<std::string, std::deque<std::string>> keys_;
  // Of the namespaces in `keys_`, each once.
  std::deque<std::string> turns_;
  std::size_t size_ = 0;
};

}  // namespace

struct WorkQueue::State {
  using Waiter = absl::AnyInvocable<void(MaybeKey)>;
  struct Delayed {
    base::MonotonicTime when;
    runtime::Timers::TimerId timer = 0;
    uint64_t sequence = 0;
  };
  // What is told to others once the lock is released.
  struct Notice {
    bool added = false;
    std::optional<std::size_t> depth;
    std::optional<absl::Duration> latency;
    Waiter waiter;
    MaybeKey key;  // for the waiter
    bool drained = false;
  };

  State(runtime::Timers& timers, ControllerObserver* observer)
      : timers(timers), observer(observer) {}

  base::MonotonicTime Now() const { return timers.clock().MonotonicNow(); }
  void Add(const std::string& key);
  void AddAfter(const std::shared_ptr<State>& self, const std::string& key,
                absl::Duration delay);
  void Fire(const std::string& key, uint64_t sequence);
  void GetOrWait(Waiter waiter);
  MaybeKey TryGet();
  void Done(const std::string& key);
  void ShutDown(bool drain);

  // The three of them keep the invariant: what is in `queue` is in `dirty` and not in
  // `processing`.
  void Push(const std::string& key, Notice& notice) CW_REQUIRES(mutex);
  MaybeKey Pop(Notice& notice) CW_REQUIRES(mutex);
  void Begin(const std::string& key, Notice& notice) CW_REQUIRES(mutex);
  bool Drained() const CW_REQUIRES(mutex) {
    return shutting_down && queue.empty() && processing.empty();
  }
  void Tell(Notice notice) CW_EXCLUDES(mutex);

  runtime::Timers& timers;
  ControllerObserver* const observer;
  Event drained;
  // Held while a timer callback uses this, so that the queue's destructor can wait for it.
  base::Mutex firing;
  bool abandoned CW_GUARDED_BY(firing) = false;

  base::Mutex mutex;
  bool shutting_down CW_GUARDED_BY(mutex) = false;
  FairQueue queue CW_GUARDED_BY(mutex);
  std::map<std::string, base::MonotonicTime> dirty CW_GUARDED_BY(mutex);       // since when
  std::map<std::string, base::MonotonicTime> processing CW_GUARDED_BY(mutex);  // since when
  std::deque<Waiter> waiters CW_GUARDED_BY(mutex);
  std::map<std::string, Delayed> delayed CW_GUARDED_BY(mutex);
  uint64_t next_sequence CW_GUARDED_BY(mutex) = 1;
};

void WorkQueue::State::Tell(Notice notice) {
  if (observer != nullptr) {
    if (notice.added) observer->OnAdd();
    if (notice.depth.has_value()) observer->OnDepth(*notice.depth);
    if (notice.latency.has_value()) observer->OnQueueLatency(*notice.latency);
  }
  if (notice.waiter) notice.waiter(std::move(notice.key));
  if (notice.drained) drained.Set();
}

void WorkQueue::State::Begin(const std::string& key, Notice& notice) {
  const base::MonotonicTime now = Now();
  auto it = dirty.find(key);
  notice.latency = now - it->second;
  dirty.erase(it);
  processing.emplace(key, now);
}

void WorkQueue::State::Push(const std::string& key, Notice& notice) {
  if (waiters.empty()) {
    queue.Push(key);
    notice.depth = queue.size();
    return;
  }
  notice.waiter = std::move(waiters.front());
  waiters.pop_front();
  Begin(key, notice);
  notice.key = key;
}

MaybeKey WorkQueue::State::Pop(Notice& notice) {
  if (queue.empty()) return std::nullopt;
  std::string key = queue.Pop();
  Begin(key, notice);
  notice.depth = queue.size();
  return key;
}

void WorkQueue::State::Add(const std::string& key) {
  Notice notice;
  {
    base::MutexLock lock(mutex);
    if (shutting_down) return;
    if (!dirty.emplace(key, Now()).second) return;
    notice.added = true;
    if (!processing.contains(key)) Push(key, notice);
  }
  Tell(std::move(notice));
}

void WorkQueue::State::AddAfter(const std::shared_ptr<State>& self, const std::string& key,
                                absl::Duration delay) {
  if (delay <= absl::ZeroDuration()) return Add(key);
  const base::MonotonicTime when = Now() + delay;
  base::MutexLock lock(mutex);
  if (shutting_down) return;
  auto [it, inserted] = delayed.try_emplace(key);
  if (!inserted) {
    if (it->second.when <= when) return;
    timers.Cancel(it->second.timer);
  }
  const uint64_t sequence = next_sequence++;
  // The callback, should it come at once on another thread, waits for the lock.
  const auto timer =
      timers.ScheduleAt(when, [weak = std::weak_ptr<State>(self), key, sequence] {
        if (auto state = weak.lock()) state->Fire(key, sequence);
      });
  it->second = Delayed{when, timer, sequence};
}

void WorkQueue::State::Fire(const std::string& key, uint64_t sequence) {
  base::MutexLock firing_lock(firing);
  if (abandoned) return;
  {
    base::MutexLock lock(mutex);
    auto it = delayed.find(key);
    if (it == delayed.end() || it->second.sequence != sequence) return;
    delayed.erase(it);
  }
  Add(key);
}

void WorkQueue::State::GetOrWait(Waiter waiter) {
  Notice notice;
  {
    base::MutexLock lock(mutex);
    notice.key = Pop(notice);
    if (!notice.key.has_value() && !shutting_down) {
      waiters.push_back(std::move(waiter));
      return;
    }
  }
  notice.waiter = std::move(waiter);
  Tell(std::move(notice));
}

MaybeKey WorkQueue::State::TryGet() {
  Notice notice;
  MaybeKey key;
  {
    base::MutexLock lock(mutex);
    key = Pop(notice);
  }
  Tell(std::move(notice));
  return key;
}

void WorkQueue::State::Done(const std::string& key) {
  Notice notice;
  {
    base::MutexLock lock(mutex);
    processing.erase(key);
    if (dirty.contains(key)) Push(key, notice);
    notice.drained = Drained();
  }
  Tell(std::move(notice));
}

void WorkQueue::State::ShutDown(bool drain) {
  std::deque<Waiter> idle;
  bool finished = false;
  {
    base::MutexLock lock(mutex);
    shutting_down = true;
    for (const auto& [key, entry] : delayed) timers.Cancel(entry.timer);
    delayed.clear();
    // Waiters and queued keys never exist together, so these have nothing to come.
    idle.swap(waiters);
    finished = !drain || Drained();
  }
  for (Waiter& waiter : idle) waiter(std::nullopt);
  if (finished) drained.Set();
}

WorkQueue::WorkQueue(runtime::Timers& timers, base::Random& random, const Options& options)
    : limiter_(options.backoff, random),
      state_(std::make_shared<State>(timers, options.observer)) {}

WorkQueue::~WorkQueue() {
  std::deque<State::Waiter> dropped;
  base::MutexLock firing_lock(state_->firing);
  state_->abandoned = true;
  base::MutexLock lock(state_->mutex);
  state_->shutting_down = true;
  for (const auto& [key, entry] : state_->delayed) state_->timers.Cancel(entry.timer);
  state_->delayed.clear();
  dropped.swap(state_->waiters);
}

void WorkQueue::Add(const std::string& key) { state_->Add(key); }

void WorkQueue::AddAfter(const std::string& key, absl::Duration delay) {
  state_->AddAfter(state_, key, delay);
}

void WorkQueue::AddRateLimited(const std::string& key) {
  if (state_->observer != nullptr) state_->observer->OnRetry();
  AddAfter(key, limiter_.When(key));
}

runtime::Awaitable<MaybeKey> WorkQueue::Get() {
  auto start = [state = state_](State::Waiter waiter) { state->GetOrWait(std::move(waiter)); };
  return runtime::AwaitCallback<MaybeKey>(std::move(start));
}

MaybeKey WorkQueue::TryGet() { return state_->TryGet(); }

void WorkQueue::Done(const std::string& key) { state_->Done(key); }

void WorkQueue::ShutDown() { state_->ShutDown(false); }

runtime::Awaitable<absl::Status> WorkQueue::ShutDownWithDrain(runtime::Context context) {
  state_->ShutDown(true);
  return state_->drained.Wait(state_->timers, std::move(context));
}

std::size_t WorkQueue::depth() const {
  base::MutexLock lock(state_->mutex);
  return state_->queue.size();
}

std::size_t WorkQueue::delayed() const {
  base::MutexLock lock(state_->mutex);
  return state_->delayed.size();
}

WorkQueue::Unfinished WorkQueue::unfinished() const {
  Unfinished unfinished;
  const base::MonotonicTime now = state_->Now();
  base::MutexLock lock(state_->mutex);
  unfinished.count = state_->processing.size();
  for (const auto& [key, since] : state_->processing) {
    unfinished.total += now - since;
    unfinished.longest = std::max(unfinished.longest, now - since);
  }
  return unfinished;
}

}  // namespace certwright::controller
