#include "lib/runtime/in_turn.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "boost/asio/execution_context.hpp"
#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/prefer.hpp"
#include "lib/base/mutex.h"

namespace certwright::runtime {
namespace {

namespace asio = boost::asio;
using Task = absl::AnyInvocable<void()>;

// With more waiting than that, somebody counts as one who does things in bulk, and does so for
// a while.
constexpr std::size_t kBulkTasks = 8;
constexpr std::chrono::seconds kBulkTime(1);
// What gives way to the other threads, but is not starved by them: about a ninth of their
// share.
constexpr int kBulkNice = 10;
// Expired entries are removed when there are more.
constexpr std::size_t kManyInBulk = 64;

// The tasks of one context that wait for their turn.
class Turns final : public asio::execution_context::service {
 public:
  static asio::execution_context::id id;

  explicit Turns(asio::execution_context& context) : service(context) {}
  ~Turns() override { StopBulk(); }

  void ServeBulkApart(int threads) {
    {
      base::MutexLock lock(mutex_);
      has_bulk_lane_ = true;
    }
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this] {
        // Of this thread; if it is refused, bulk is as urgent as all else.
        const id_t thread = static_cast<id_t>(gettid());
        setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + kBulkNice);
        bulk_.run();
      });
    }
  }

  void StopBulk() {
    bulk_.stop();
    threads_.clear();
  }

  void Push(const Executor& executor, const std::string& who, Task task) {
    LaneName lane = kFront;
    {
      base::MutexLock lock(mutex_);
      // The context is being destroyed, and with it all that would run.
      if (shut_down_) return;
      std::deque<Task>& tasks = tasks_[who];
      tasks.push_back(std::move(task));
      if (tasks.size() > kBulkTasks) NoteBulk(who);
      if (tasks.size() > 1) return;
      lane = Queue(who);
      if (lanes_[lane].in_line == max_in_line_) return;
      ++lanes_[lane].in_line;
    }
    RunNextOn(executor, lane);
  }

 private:
  enum LaneName { kFront, kBulk };
  struct Lane {
    // Who has tasks, the next first.
    std::deque<std::string> order;
    // Tasks of the lane's own line that will each run one of these.
    int in_line = 0;
  };
  using Clock = std::chrono::steady_clock;

  void NoteBulk(const std::string& who) CW_REQUIRES(mutex_) {
    const Clock::time_point now = Clock::now();
    bulk_until_[who] = now + kBulkTime;
    if (bulk_until_.size() <= kManyInBulk) return;
    std::erase_if(bulk_until_, [now](const auto& entry) { return entry.second < now; });
  }

  bool IsBulk(const std::string& who) CW_REQUIRES(mutex_) {
    const auto until = bulk_until_.find(who);
    if (until == bulk_until_.end()) return false;
    if (until->second >= Clock::now()) return true;
    bulk_until_.erase(until);
    return false;
  }

  LaneName Queue(const std::string& who) CW_REQUIRES(mutex_) {
    const LaneName lane = has_bulk_lane_ && IsBulk(who) ? kBulk : kFront;
    lanes_[lane].order.push_back(who);
    return lane;
  }

  // One after the other, so that what is not pushed here gets the threads in between.
  void RunNextOn(const Executor& executor, LaneName lane) {
    asio::post(lane == kBulk ? Executor(bulk_.get_executor()) : executor,
               [this, executor, lane] {
                 std::optional<LaneName> other;
                 Task task = Next(lane, other);
                 if (other.has_value()) RunNextOn(executor, *other);
                 if (!task) return;
                 task();
                 RunNextOn(executor, lane);
               });
  }

  // Empty if nothing waits: the caller leaves the line then. `other` is a lane into which
  // somebody was moved, if one more is to run there.
  Task Next(LaneName lane, std::optional<LaneName>& other) {
    base::MutexLock lock(mutex_);
    std::deque<std::string>& order = lanes_[lane].order;
    if (order.empty()) {
      --lanes_[lane].in_line;
      return nullptr;
    }
    const auto first = tasks_.find(order.front());
    order.pop_front();
    Task task = std::move(first->second.front());
    first->second.pop_front();
    if (first->second.empty()) {
      tasks_.erase(first);
      return task;
    }
    const LaneName next = Queue(first->first);
    if (next != lane && lanes_[next].in_line < max_in_line_) {
      ++lanes_[next].in_line;
      other = next;
    }
    return task;
  }

  void shutdown() override {
    StopBulk();
    // Destroyed without the lock: tasks may push others when they are.
    std::map<std::string, std::deque<Task>> dropped;
    base::MutexLock lock(mutex_);
    shut_down_ = true;
    dropped.swap(tasks_);
    for (Lane& lane : lanes_) lane.order.clear();
  }

  const int max_in_line_ = std::max(2, static_cast<int>(std::thread::hardware_concurrency()));
  base::Mutex mutex_;
  std::map<std::string, std::deque<Task>> tasks_ CW_GUARDED_BY(mutex_);
  std::array<Lane, 2> lanes_ CW_GUARDED_BY(mutex_);
  std::map<std::string, Clock::time_point> bulk_until_ CW_GUARDED_BY(mutex_);
  bool has_bulk_lane_ CW_GUARDED_BY(mutex_) = false;
  bool shut_down_ CW_GUARDED_BY(mutex_) = false;
  asio::io_context bulk_;
  asio::executor_work_guard<asio::io_context::executor_type> bulk_work_{
      asio::make_work_guard(bulk_)};
  std::vector<std::jthread> threads_;
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

void ServeBulkApart(asio::execution_context& context, int threads) {
  asio::use_service<Turns>(context).ServeBulkApart(threads);
}

void StopServingBulk(asio::execution_context& context) {
  asio::use_service<Turns>(context).StopBulk();
}

}  // namespace certwright::runtime
