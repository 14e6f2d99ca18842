// MortalStore: another Store that counts its commits, and dies around one of them as a killed
// process does. For tests.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/mutex.h"
#include "lib/store/store.h"

namespace certwright::store {

class MortalStore final : public Store {
 public:
  explicit MortalStore(Store& inner) : inner_(inner) {}

  int commits() const { return commits_; }
  bool dead() const { return dead_; }
  // False if it is not dead after a minute. The killed coroutine is destroyed on its executor
  // at that moment: an executor that is stopped then has done with it.
  bool WaitUntilDead() {
    base::MutexLock lock(mutex_);
    return died_.wait_for(mutex_, std::chrono::seconds(60), [this] { return dead(); });
  }
  // How many calls have not been answered, whose answers come from another thread.
  int under_way() const { return under_way_; }
  // The caller of the commit `n` from now (1 is the next) never hears of it, as if the process
  // had been killed before it was `applied`, or right after.
  void DieAtCommit(int n, bool applied) {
    die_at_ = commits_ + n;
    die_applied_ = applied;
  }
  // The next commit is not made, and ends with this.
  void FailNextCommit(absl::Status status) { next_failure_ = std::move(status); }
  // Runs before the next commit, as something that happens at the same time.
  void BeforeNextCommit(std::function<void()> action) { before_commit_ = std::move(action); }

  runtime::Awaitable<absl::StatusOr<Record>> Get(runtime::Context context,
                                                 std::string key) override {
    const UnderWay call(under_way_);
    co_return co_await inner_.Get(std::move(context), std::move(key));
  }
  runtime::Awaitable<absl::StatusOr<ListResult>> List(runtime::Context context,
                                                      ListRequest request) override {
    const UnderWay call(under_way_);
    co_return co_await inner_.List(std::move(context), std::move(request));
  }
  runtime::Awaitable<absl::StatusOr<int64_t>> Commit(runtime::Context context,
                                                     std::vector<Mutation> mutations) override {
    const UnderWay call(under_way_);
    if (before_commit_) std::exchange(before_commit_, nullptr)();
    const bool dies = ++commits_ == die_at_;
    if (!next_failure_.ok()) co_return std::exchange(next_failure_, absl::OkStatus());
    if (dies && !die_applied_) co_await Die();
    const absl::StatusOr<int64_t> revision =
        co_await inner_.Commit(context, std::move(mutations));
    if (dies) co_await Die();
    co_return revision;
  }
  std::unique_ptr<WatchHandle> Watch(std::string prefix, int64_t revision,
                                     WatchCallback callback,
                                     runtime::Executor executor) override {
    return inner_.Watch(std::move(prefix), revision, std::move(callback), std::move(executor));
  }
  runtime::Awaitable<absl::StatusOr<int64_t>> CurrentRevision(
      runtime::Context context) override {
    const UnderWay call(under_way_);
    co_return co_await inner_.CurrentRevision(std::move(context));
  }
  runtime::Awaitable<absl::Status> Compact(runtime::Context context,
                                           int64_t revision) override {
    const UnderWay call(under_way_);
    co_return co_await inner_.Compact(std::move(context), revision);
  }
  runtime::Awaitable<absl::Status> Scrub(runtime::Context context) override {
    const UnderWay call(under_way_);
    co_return co_await inner_.Scrub(std::move(context));
  }

 private:
  struct UnderWay {
    explicit UnderWay(std::atomic<int>& count) : count(count) { ++count; }
    ~UnderWay() { --count; }
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;
    std::atomic<int>& count;
  };

  // The coroutine that waits for it is destroyed.
  runtime::Awaitable<bool> Die() {
    {
      base::MutexLock lock(mutex_);
      dead_ = true;
      died_.notify_all();
    }
    auto drop = [](absl::AnyInvocable<void(bool)>) {};
    co_return co_await runtime::AwaitCallback<bool>(std::move(drop));
  }

  Store& inner_;
  // Read by the test while the code under test commits on another thread.
  std::atomic<int> commits_ = 0;
  int die_at_ = 0;
  bool die_applied_ = false;
  std::atomic<bool> dead_ = false;
  std::atomic<int> under_way_ = 0;
  base::Mutex mutex_;
  std::condition_variable_any died_;
  std::function<void()> before_commit_;
  absl::Status next_failure_;
};

}  // namespace certwright::store
