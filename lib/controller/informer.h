// Informer: a local, always fresh copy of the resources of one kind, and a call for every
// change, fed by a WatchSource, whatever happens to the connection.
//
// When a watch ends it is started again from the last version seen, after a back-off; if
// that version is too old (OUT_OF_RANGE), everything is listed anew, and what has vanished
// meanwhile is reported as deleted. A watch that says nothing for `idle_timeout`, not even a
// bookmark, is taken for dead.
//
// Threading: all methods are safe from any thread. Handlers are called serially, without
// locks, on the source's thread, after the copy has been updated: they must be quick (enqueue
// a key) and not block.
// Lifetime: source, timers and random must outlive this.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/mutex.h"
#include "lib/base/random.h"
#include "lib/controller/event.h"
#include "lib/controller/rate_limiter.h"
#include "lib/controller/watch_source.h"
#include "lib/runtime/timers.h"

namespace certwright::controller {

struct InformerOptions {
  BackoffOptions backoff{absl::Milliseconds(50), absl::Seconds(5), 0.1};
  absl::Duration idle_timeout = absl::Seconds(90);  // infinite = none
  // Told of every end of a watch, where handlers are called too; may be empty.
  std::function<void(const absl::Status&)> on_watch_end = {};
};

template <typename T>
class Informer {
 public:
  using Object = std::shared_ptr<const T>;
  // `before` is null for a new resource, `now` for a deleted one. `key` is
  // "<namespace>/<name>".
  using Handler = std::function<void(const std::string& key, Object before, Object now)>;

  Informer(WatchSource<T>& source, runtime::Timers& timers, base::Random& random,
           InformerOptions options = InformerOptions())
      : core_(std::make_shared<Core>(source, timers, random, std::move(options))) {}
  ~Informer() { Stop(); }
  Informer(const Informer&) = delete;
  Informer& operator=(const Informer&) = delete;

  // Before Start() only.
  void AddHandler(Handler handler) { core_->handlers.push_back(std::move(handler)); }
  // Once.
  void Start() { core_->Connect(0); }
  // No handler runs any more once this has returned. Not to be called from a handler.
  void Stop() { core_->Stop(); }

  // OK once everything that was there at the start is here.
  runtime::Awaitable<absl::Status> WaitForSync(runtime::Context context) {
    return core_->synced.Wait(core_->timers, std::move(context));
  }
  bool synced() const { return core_->synced.is_set(); }

  // Null if absent.
  Object Get(const std::string& key) const {
    base::MutexLock lock(core_->mutex);
    auto it = core_->cache.find(key);
    return it == core_->cache.end() ? nullptr : it->second;
  }

  // In the order of their keys.
  std::vector<Object> List() const {
    base::MutexLock lock(core_->mutex);
    std::vector<Object> objects;
    objects.reserve(core_->cache.size());
    for (const auto& [key, object] : core_->cache) objects.push_back(object);
    return objects;
  }

  // Why the last watch ended; OK while one works.
  absl::Status last_error() const {
    base::MutexLock lock(core_->mutex);
    return core_->last_error;
  }

 private:
  struct Change {
    std::string key;
    Object before;
    Object now;
  };

  // Everything, shared with timer callbacks, which may come after the informer is gone.
  struct Core : std::enable_shared_from_this<Core> {
    Core(WatchSource<T>& source, runtime::Timers& timers, base::Random& random,
         InformerOptions options)
        : source(source), timers(timers), random(random), options(std::move(options)) {}

    void Connect(uint64_t expected_generation);
    void Stop();
    void OnEvent(uint64_t from, EventType type, T resource, std::string new_version);
    void Apply(EventType type, T resource, std::vector<Change>& changes) CW_REQUIRES(mutex);
    void RemoveVanished(std::vector<Change>& changes) CW_REQUIRES(mutex);
    void OnEnd(uint64_t from, absl::Status status);
    void ArmIdleTimer(absl::Duration delay) CW_REQUIRES(mutex);
    void CheckIdle(uint64_t from);

    WatchSource<T>& source;
    runtime::Timers& timers;
    base::Random& random;
    const InformerOptions options;
    std::vector<Handler> handlers;
    Event synced;

    // Taken before `mutex`, and never by the source's callbacks: whoever destroys the handle
    // waits for those.
    base::Mutex connect_mutex;
    std::unique_ptr<typename WatchSource<T>::Handle> handle CW_GUARDED_BY(connect_mutex);

    base::Mutex mutex;
    bool stopped CW_GUARDED_BY(mutex) = false;
    // Grows with each start and end of a watch; callbacks of an earlier watch are ignored.
    uint64_t generation CW_GUARDED_BY(mutex) = 0;
    runtime::Timers::TimerId reconnect_timer CW_GUARDED_BY(mutex) = 0;
    runtime::Timers::TimerId idle_timer CW_GUARDED_BY(mutex) = 0;
    std::map<std::string, Object> cache CW_GUARDED_BY(mutex);
    std::string version CW_GUARDED_BY(mutex);  // to resume from; empty = list
    bool listing CW_GUARDED_BY(mutex) = false;
    std::set<std::string> listed CW_GUARDED_BY(mutex);
    int failures CW_GUARDED_BY(mutex) = 0;
    base::MonotonicTime last_event CW_GUARDED_BY(mutex){absl::ZeroDuration()};
    absl::Status last_error CW_GUARDED_BY(mutex);
  };

  const std::shared_ptr<Core> core_;
};

template <typename T>
void Informer<T>::Core::Connect(uint64_t expected_generation) {
  base::MutexLock connect_lock(connect_mutex);
  uint64_t current = 0;
  std::string from;
  {
    base::MutexLock lock(mutex);
    if (stopped || generation != expected_generation) return;
    reconnect_timer = 0;
    current = ++generation;
    from = version;
    listing = version.empty();
    listed.clear();
    last_event = timers.clock().MonotonicNow();
    ArmIdleTimer(options.idle_timeout);
  }
  handle.reset();
  handle = source.Start(
      std::move(from),
      [this, current](EventType type, T resource, std::string new_version) {
        OnEvent(current, type, std::move(resource), std::move(new_version));
      },
      [this, current](absl::Status status) { OnEnd(current, std::move(status)); });
}

template <typename T>
void Informer<T>::Core::Stop() {
  runtime::Timers::TimerId pending[2];
  {
    base::MutexLock lock(mutex);
    stopped = true;
    pending[0] = std::exchange(reconnect_timer, 0);
    pending[1] = std::exchange(idle_timer, 0);
  }
  for (const auto timer : pending) {
    if (timer != 0) timers.Cancel(timer);
  }
  base::MutexLock connect_lock(connect_mutex);
  handle.reset();
}

template <typename T>
void Informer<T>::Core::OnEvent(uint64_t from, EventType type, T resource,
                                std::string new_version) {
  std::vector<Change> changes;
  {
    base::MutexLock lock(mutex);
    if (stopped || generation != from) return;
    failures = 0;
    last_error = absl::OkStatus();
    last_event = timers.clock().MonotonicNow();
    if (type != EventType::kBookmark) {
      Apply(type, std::move(resource), changes);
    } else if (listing) {
      RemoveVanished(changes);
      listing = false;
    }
    // While listing, no version stands for all that has been sent.
    if (!listing && !new_version.empty()) version = std::move(new_version);
  }
  for (const Change& change : changes) {
    for (const Handler& handler : handlers) handler(change.key, change.before, change.now);
  }
  if (type == EventType::kBookmark) synced.Set();
}

template <typename T>
void Informer<T>::Core::Apply(EventType type, T resource, std::vector<Change>& changes) {
  const auto& metadata = resource.metadata();
  const std::string key = absl::StrCat(metadata.namespace_(), "/", metadata.name());
  auto it = cache.find(key);
  Object before = it == cache.end() ? nullptr : it->second;
  if (type == EventType::kDeleted) {
    if (before == nullptr) return;
    cache.erase(it);
    changes.push_back({key, std::move(before), nullptr});
    return;
  }
  if (listing) listed.insert(key);
  const bool known = before != nullptr && !metadata.resource_version().empty() &&
                     before->metadata().resource_version() == metadata.resource_version();
  if (known) return;
  Object now = std::make_shared<const T>(std::move(resource));
  cache[key] = now;
  changes.push_back({key, std::move(before), std::move(now)});
}

template <typename T>
void Informer<T>::Core::RemoveVanished(std::vector<Change>& changes) {
  for (auto it = cache.begin(); it != cache.end();) {
    if (listed.contains(it->first)) {
      ++it;
      continue;
    }
    changes.push_back({it->first, it->second, nullptr});
    it = cache.erase(it);
  }
  listed.clear();
}

template <typename T>
void Informer<T>::Core::OnEnd(uint64_t from, absl::Status status) {
  if (status.ok()) status = absl::UnavailableError("the watch has ended");
  {
    base::MutexLock lock(mutex);
    if (stopped || generation != from) return;
    const uint64_t ended = ++generation;
    last_error = status;
    // Too old, or not one that this source knows.
    if (absl::IsOutOfRange(status) || absl::IsInvalidArgument(status)) version.clear();
    reconnect_timer = timers.ScheduleAfter(
        Backoff(options.backoff, failures++, random),
        [core = this->shared_from_this(), ended] { core->Connect(ended); });
  }
  if (options.on_watch_end) options.on_watch_end(status);
}

template <typename T>
void Informer<T>::Core::ArmIdleTimer(absl::Duration delay) {
  if (idle_timer != 0) timers.Cancel(idle_timer);
  idle_timer = 0;
  if (options.idle_timeout == absl::InfiniteDuration()) return;
  idle_timer = timers.ScheduleAfter(
      delay, [core = this->shared_from_this(), from = generation] { core->CheckIdle(from); });
}

template <typename T>
void Informer<T>::Core::CheckIdle(uint64_t from) {
  {
    base::MutexLock lock(mutex);
    if (stopped || generation != from) return;
    idle_timer = 0;
    const absl::Duration left =
        last_event + options.idle_timeout - timers.clock().MonotonicNow();
    if (left > absl::ZeroDuration()) return ArmIdleTimer(left);
  }
  OnEnd(from, absl::UnavailableError(absl::StrCat("the watch has been silent for ",
                                                  absl::FormatDuration(options.idle_timeout))));
}

}  // namespace certwright::controller
