// MortalStore: another Store that counts its commits, and dies around one of them as a killed
// process does. For tests.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/store/store.h"

namespace certwright::store {

class MortalStore final : public Store {
 public:
  explicit MortalStore(Store& inner) : inner_(inner) {}

  int commits() const { return commits_; }
  bool dead() const { return dead_; }
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
    return inner_.Get(std::move(context), std::move(key));
  }
  runtime::Awaitable<absl::StatusOr<ListResult>> List(runtime::Context context,
                                                      ListRequest request) override {
    return inner_.List(std::move(context), std::move(request));
  }
  runtime::Awaitable<absl::StatusOr<int64_t>> Commit(runtime::Context context,
                                                     std::vector<Mutation> mutations) override {
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
                                     WatchCallback callback) override {
    return inner_.Watch(std::move(prefix), revision, std::move(callback));
  }
  runtime::Awaitable<absl::StatusOr<int64_t>> CurrentRevision(
      runtime::Context context) override {
    return inner_.CurrentRevision(std::move(context));
  }
  runtime::Awaitable<absl::Status> Compact(runtime::Context context,
                                           int64_t revision) override {
    return inner_.Compact(std::move(context), revision);
  }
  runtime::Awaitable<absl::Status> Scrub(runtime::Context context) override {
    return inner_.Scrub(std::move(context));
  }

 private:
  // The coroutine that waits for it is destroyed.
  runtime::Awaitable<bool> Die() {
    dead_ = true;
    auto drop = [](absl::AnyInvocable<void(bool)>) {};
    co_return co_await runtime::AwaitCallback<bool>(std::move(drop));
  }

  Store& inner_;
  // Read by the test while the code under test commits on another thread.
  std::atomic<int> commits_ = 0;
  int die_at_ = 0;
  bool die_applied_ = false;
  std::atomic<bool> dead_ = false;
  std::function<void()> before_commit_;
  absl::Status next_failure_;
};

}  // namespace certwright::store
