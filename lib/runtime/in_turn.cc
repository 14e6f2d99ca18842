#include "lib/runtime/in_turn.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "boost/asio/execution_context.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/prefer.hpp"
#include "lib/base/mutex.h"

namespace certwright::runtime {
namespace {

namespace asio = boost::asio;
using Task = absl::AnyInvocable<void()>;

// The tasks of one context that wait for their turn.
class Turns final : public asio::execution_context::service {
 public:
  static asio::execution_context::id id;

  explicit Turns(asio::execution_context& context) : service(context) {}

  void Push(const Executor& executor, const std::string& who, Task task) {
    {
      base::MutexLock lock(mutex_);
      // The context is being destroyed, and with it all that would run.
      if (shut_down_) return;
      std::deque<Task>& tasks = tasks_[who];
      if (tasks.empty()) order_.push_back(who);
      tasks.push_back(std::move(task));
      if (in_line_ == max_in_line_) return;
      ++in_line_;
    }
    RunNextOn(executor);
  }

 private:
  // One after the other, so that what is not pushed here gets the threads in between.
  void RunNextOn(const Executor& executor) {
    asio::post(executor, [this, executor] {
      if (Task task = Next()) {
        task();
        RunNextOn(executor);
      }
    });
  }

  // Empty if nothing waits: the caller leaves the line then.
  Task Next() {
    base::MutexLock lock(mutex_);
    if (order_.empty()) {
      --in_line_;
      return nullptr;
    }
    const auto first = tasks_.find(order_.front());
    order_.pop_front();
    Task task = std::move(first->second.front());
    first->second.pop_front();
    if (first->second.empty()) {
      tasks_.erase(first);
    } else {
      order_.push_back(first->first);
    }
    return task;
  }

  void shutdown() override {
    // Destroyed without the lock: tasks may push others when they are.
    std::map<std::string, std::deque<Task>> dropped;
    base::MutexLock lock(mutex_);
    shut_down_ = true;
    dropped.swap(tasks_);
    order_.clear();
  }

  const int max_in_line_ = std::max(2, static_cast<int>(std::thread::hardware_concurrency()));
  base::Mutex mutex_;
  std::map<std::string, std::deque<Task>> tasks_ CW_GUARDED_BY(mutex_);
  // Who has tasks, the next first.
  std::deque<std::string> order_ CW_GUARDED_BY(mutex_);
  // Tasks of the context's own line that will each run one of these.
  int in_line_ CW_GUARDED_BY(mutex_) = 0;
  bool shut_down_ CW_GUARDED_BY(mutex_) = false;
};

asio::execution_context::id Turns::id;

// What Asio asks of an executor.
class TurnExecutor {
 public:
  TurnExecutor(Executor inner, Turns& turns, std::shared_ptr<const std::string> who)
      : inner_(std::move(inner)), turns_(&turns), who_(std::move(who)) {}

  asio::execution_context& query(asio::execution::context_t) const noexcept {
    return inner_.context();
  }
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }
  TurnExecutor require(asio::execution::blocking_t::never_t) const { return *this; }
  TurnExecutor require(asio::execution::outstanding_work_t::tracked_t) const {
    return {asio::prefer(inner_, asio::execution::outstanding_work.tracked), *turns_, who_};
  }
  TurnExecutor require(asio::execution::outstanding_work_t::untracked_t) const {
    return {asio::prefer(inner_, asio::execution::outstanding_work.untracked), *turns_, who_};
  }

  template <typename Function>
  void execute(Function function) const {
    turns_->Push(inner_, *who_, std::move(function));
  }

  friend bool operator==(const TurnExecutor& a, const TurnExecutor& b) noexcept {
    return a.inner_ == b.inner_ && a.who_ == b.who_;
  }
  friend bool operator!=(const TurnExecutor& a, const TurnExecutor& b) noexcept {
    return !(a == b);
  }

 private:
  Executor inner_;
  Turns* turns_;
  std::shared_ptr<const std::string> who_;
};

}  // namespace

Executor InTurn(const Executor& executor, std::string who) {
  auto& turns = asio::use_service<Turns>(executor.context());
  return TurnExecutor(executor, turns, std::make_shared<const std::string>(std::move(who)));
}

}  // namespace certwright::runtime
