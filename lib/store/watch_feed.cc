#include "lib/store/watch_feed.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/match.h"
#include "boost/asio/post.hpp"

namespace certwright::store {
namespace {

// What is kept in memory for watchers, and what one is told before others have their turn.
constexpr std::size_t kMaxRecentCommits = 4096;
constexpr std::size_t kMaxRecentBytes = 16 * 1024 * 1024;
struct StepSize {
  std::size_t commits;
  std::size_t bytes;
  int64_t log_changes;
};
constexpr StepSize kStep = {256, kMaxBatchBytes, 512};
constexpr StepSize kStepOnExecutor = {16, 64 * 1024, 16};

std::size_t SizeOf(const CommittedChanges& commit) {
  std::size_t bytes = sizeof(CommittedChanges);
  for (const Event& event : commit.events) {
    bytes += sizeof(Event) + event.record.key.size() + event.record.value.size();
  }
  return bytes;
}

ChangeBatch Select(const std::vector<std::shared_ptr<const CommittedChanges>>& commits,
                   const std::string& prefix) {
  ChangeBatch batch;
  for (const auto& commit : commits) {
    for (const Event& event : commit->events) {
      if (absl::StartsWith(event.record.key, prefix)) batch.events.push_back(event);
    }
    batch.revision = commit->revision;
  }
  return batch;
}

bool Concerns(const std::vector<CommittedChanges>& commits, const std::string& prefix,
              int64_t after) {
  for (const CommittedChanges& commit : commits) {
    if (commit.revision <= after) continue;
    for (const Event& event : commit.events) {
      if (absl::StartsWith(event.record.key, prefix)) return true;
    }
  }
  return false;
}

}  // namespace

struct WatchFeed::Watcher {
  const StepSize& step() const { return executor ? kStepOnExecutor : kStep; }

  std::string prefix;
  runtime::Executor executor;
  WatchCallback callback;
  CallbackGate gate;
  // Everything up to it has been delivered. Written by the feed's thread while scheduled,
  // by Publish() otherwise, under the feed's lock.
  std::atomic<int64_t> position{0};
  // The rest is guarded by the feed's lock. Not scheduled means nothing is left to tell.
  bool scheduled = false;
  bool removed = false;
  bool started = false;
  bool caught_up = false;
};

// The feed, as long as it is there, for what runs on executors.
class WatchFeed::Access {
 public:
  explicit Access(WatchFeed& feed) : feed_(&feed) {}

  void Serve(const WatcherPtr& watcher) {
    WatchFeed* feed = nullptr;
    {
      base::MutexLock lock(mutex_);
      if (closed_) return;
      feed = feed_;
      ++serving_;
    }
    feed->Serve(watcher);
    base::MutexLock lock(mutex_);
    if (--serving_ == 0) idle_.notify_all();
  }

  // Waits for those that serve.
  void Close() {
    base::MutexLock lock(mutex_);
    closed_ = true;
    while (serving_ > 0) idle_.wait(mutex_);
  }

 private:
  WatchFeed* const feed_;
  base::Mutex mutex_;
  std::condition_variable_any idle_;
  int serving_ CW_GUARDED_BY(mutex_) = 0;
  bool closed_ CW_GUARDED_BY(mutex_) = false;
};

class WatchFeed::Handle final : public WatchHandle {
 public:
  Handle(WatchFeed& feed, WatcherPtr watcher) : feed_(feed), watcher_(std::move(watcher)) {}
  ~Handle() override {
    watcher_->gate.Close();
    feed_.Remove(watcher_);
  }
  int64_t progress() const override { return watcher_->position.load(); }

 private:
  WatchFeed& feed_;
  const WatcherPtr watcher_;
};

WatchFeed::WatchFeed(int64_t revision, ReadLog read_log)
    : read_log_(std::move(read_log)),
      access_(std::make_shared<Access>(*this)),
      published_(revision),
      thread_([this] { Run(); }) {}

WatchFeed::~WatchFeed() {
  access_->Close();
  base::MutexLock lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
}

std::unique_ptr<WatchHandle> WatchFeed::Watch(std::string prefix, int64_t from_revision,
                                              WatchCallback callback,
                                              runtime::Executor executor) {
  auto watcher = std::make_shared<Watcher>();
  watcher->prefix = std::move(prefix);
  watcher->callback = std::move(callback);
  watcher->executor = std::move(executor);
  watcher->position = from_revision;
  {
    base::MutexLock lock(mutex_);
    watchers_.insert(watcher);
    Schedule(watcher);
  }
  return std::make_unique<Handle>(*this, std::move(watcher));
}

void WatchFeed::Schedule(const WatcherPtr& watcher) {
  watcher->scheduled = true;
  GiveTurn(watcher);
}

void WatchFeed::GiveTurn(const WatcherPtr& watcher) {
  if (watcher->executor) {
    boost::asio::post(watcher->executor,
                      [access = access_, watcher] { access->Serve(watcher); });
    return;
  }
  ready_.push_back(watcher);
  wake_.notify_one();
}

void WatchFeed::Publish(std::vector<CommittedChanges> commits) {
  if (commits.empty()) return;
  base::MutexLock lock(mutex_);
  published_ = commits.back().revision;
  for (const WatcherPtr& watcher : watchers_) {
    if (watcher->scheduled) continue;
    if (Concerns(commits, watcher->prefix, watcher->position)) {
      Schedule(watcher);
    } else {
      watcher->position = std::max(watcher->position.load(), published_);
    }
  }
  for (CommittedChanges& commit : commits) Remember(std::move(commit));
}

void WatchFeed::Remember(CommittedChanges commit) {
  recent_bytes_ += SizeOf(commit);
  recent_.push_back(std::make_shared<const CommittedChanges>(std::move(commit)));
  while (recent_.size() > kMaxRecentCommits || recent_bytes_ > kMaxRecentBytes) {
    recent_bytes_ -= SizeOf(*recent_.front());
    recent_.pop_front();
  }
}

void WatchFeed::Compacted(int64_t revision) {
  base::MutexLock lock(mutex_);
  while (!recent_.empty() && recent_.front()->revision <= revision) {
    recent_bytes_ -= SizeOf(*recent_.front());
    recent_.pop_front();
  }
}

void WatchFeed::Run() {
  while (true) {
    WatcherPtr watcher;
    {
      base::MutexLock lock(mutex_);
      while (ready_.empty() && !stopping_) wake_.wait(mutex_);
      if (stopping_) return;
      watcher = std::move(ready_.front());
      ready_.pop_front();
    }
    Serve(watcher);
  }
}

WatchFeed::Plan WatchFeed::NextStep(Watcher& watcher) {
  base::MutexLock lock(mutex_);
  Plan plan;
  if (watcher.removed) return plan;
  const int64_t position = watcher.position;
  const bool first = !std::exchange(watcher.started, true);
  if (position < published_) {
    const bool remembered = !recent_.empty() && recent_.front()->revision <= position + 1;
    plan.step = remembered ? Step::kMemory : Step::kLog;
    plan.to = published_;
    if (remembered) {
      auto next = recent_.begin() + (position + 1 - recent_.front()->revision);
      std::size_t bytes = 0;
      for (; next != recent_.end() && plan.commits.size() < watcher.step().commits &&
             bytes < watcher.step().bytes;
           ++next) {
        plan.commits.push_back(*next);
        bytes += SizeOf(**next);
      }
    }
  } else if (first && position > published_) {
    // A commit that is about to be published, or a revision that never was: the log knows.
    plan.step = Step::kLog;
    plan.to = position;
  } else if (!std::exchange(watcher.caught_up, true)) {
    plan.step = Step::kBookmark;
  } else {
    watcher.scheduled = false;
  }
  return plan;
}

void WatchFeed::Serve(const WatcherPtr& watcher) {
  Plan plan = NextStep(*watcher);
  if (plan.step == Step::kNothing) return;
  if (plan.step == Step::kBookmark) {
    ChangeBatch batch;
    batch.revision = watcher->position;
    watcher->gate.Run([&] { watcher->callback(WatchUpdate{{}, batch.revision, {}}); });
    DeliverBatch(watcher, std::move(batch));
    return;
  }
  if (plan.step == Step::kMemory) {
    DeliverBatch(watcher, Select(plan.commits, watcher->prefix));
    return;
  }
  absl::StatusOr<ChangeBatch> batch =
      read_log_(watcher->prefix, watcher->position, plan.to, watcher->step().log_changes);
  if (!batch.ok()) return End(watcher, batch.status());
  DeliverBatch(watcher, *std::move(batch));
}

// Moves the watcher on and gives it its next turn.
void WatchFeed::DeliverBatch(const WatcherPtr& watcher, ChangeBatch batch) {
  const int64_t revision = batch.revision;
  if (!batch.events.empty()) {
    watcher->gate.Run([&] {
      watcher->callback(WatchUpdate{std::move(batch.events), revision, {}});
    });
  }
  base::MutexLock lock(mutex_);
  watcher->position = revision;
  if (!watcher->removed) GiveTurn(watcher);
}

void WatchFeed::End(const WatcherPtr& watcher, absl::Status status) {
  watcher->gate.Run([&] {
    watcher->callback(WatchUpdate{{}, watcher->position, std::move(status)});
  });
  Remove(watcher);
}

void WatchFeed::Remove(const WatcherPtr& watcher) {
  base::MutexLock lock(mutex_);
  watcher->removed = true;
  watchers_.erase(watcher);
}

}  // namespace certwright::store
