// WatchFeed: brings the changes of a store to its watchers, on a thread of its own.
//
// The writer publishes each commit. Every watcher has a position in the one sequence of
// revisions and is moved along it: from the newest commits, which are kept in memory, or,
// when it is further behind, from the change log. So the start of a watch, a slow watcher
// and normal operation are the same thing, memory is bounded, and a change is neither
// missed nor seen twice.
//
// Watchers that have an executor are moved along there, in smaller steps: so the service's own,
// which have none, do not wait behind those of its clients.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/store/callback_gate.h"
#include "lib/store/sqlite_queries.h"
#include "lib/store/store.h"

namespace certwright::store {

// All changes of one revision.
struct CommittedChanges {
  int64_t revision = 0;
  std::vector<Event> events;
};

class WatchFeed {
 public:
  // Reads the change log as ReadChanges() does.
  using ReadLog = std::function<absl::StatusOr<ChangeBatch>(
      const std::string& prefix, int64_t from, int64_t to, int64_t limit)>;

  // `revision` is the last commit so far.
  WatchFeed(int64_t revision, ReadLog read_log);
  ~WatchFeed();
  WatchFeed(const WatchFeed&) = delete;
  WatchFeed& operator=(const WatchFeed&) = delete;

  // Commits in order, without gaps, that are on disk.
  void Publish(std::vector<CommittedChanges> commits);
  // Nothing at or before `revision` may come from memory any more.
  void Compacted(int64_t revision);

  // As Store::Watch(). The handle must be destroyed before the feed.
  std::unique_ptr<WatchHandle> Watch(std::string prefix, int64_t from_revision,
                                     WatchCallback callback, runtime::Executor executor = {});

 private:
  struct Watcher;
  class Handle;
  class Access;
  using WatcherPtr = std::shared_ptr<Watcher>;
  enum class Step { kNothing, kBookmark, kMemory, kLog };
  struct Plan {
    Step step = Step::kNothing;
    std::vector<std::shared_ptr<const CommittedChanges>> commits;  // for kMemory
    int64_t to = 0;                                                // for kLog
  };

  void Run();
  void Serve(const WatcherPtr& watcher);
  Plan NextStep(Watcher& watcher);
  void DeliverBatch(const WatcherPtr& watcher, ChangeBatch batch);
  void End(const WatcherPtr& watcher, absl::Status status);
  void Remove(const WatcherPtr& watcher);
  void Schedule(const WatcherPtr& watcher) CW_REQUIRES(mutex_);
  void GiveTurn(const WatcherPtr& watcher) CW_REQUIRES(mutex_);
  void Remember(CommittedChanges commit) CW_REQUIRES(mutex_);

  const ReadLog read_log_;
  const std::shared_ptr<Access> access_;
  base::Mutex mutex_;
  std::condition_variable_any wake_;
  bool stopping_ CW_GUARDED_BY(mutex_) = false;
  int64_t published_ CW_GUARDED_BY(mutex_);
  // The newest commits, with consecutive revisions up to published_.
  std::deque<std::shared_ptr<const CommittedChanges>> recent_ CW_GUARDED_BY(mutex_);
  std::size_t recent_bytes_ CW_GUARDED_BY(mutex_) = 0;
  std::set<WatcherPtr> watchers_ CW_GUARDED_BY(mutex_);
  std::deque<WatcherPtr> ready_ CW_GUARDED_BY(mutex_);  // have something to be told
  std::jthread thread_;
};

}  // namespace certwright::store
