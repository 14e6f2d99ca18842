#include "lib/runtime/in_turn.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "boost/asio/io_context.hpp"
#include "boost/asio/post.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/mutex.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class InTurnTest : public ::testing::Test {
 protected:
  // Has the task `line` run for `who`.
  void Post(const std::string& who, const std::string& line) {
    boost::asio::post(InTurn(loop_->get_executor(), who),
                      [this, line] { lines_.push_back(line); });
  }
  std::vector<std::string> Run() {
    loop_->restart();
    loop_->run();
    return std::exchange(lines_, {});
  }

  std::optional<boost::asio::io_context> loop_{std::in_place};
  std::vector<std::string> lines_;
};

TEST_F(InTurnTest, TasksOfOneRunInTheOrderInWhichTheyCame) {
  for (const char* line : {"1", "2", "3"}) Post("a", line);
  EXPECT_THAT(Run(), ElementsAre("1", "2", "3"));
  Post("a", "4");
  EXPECT_THAT(Run(), ElementsAre("4"));
}

TEST_F(InTurnTest, WhoeverHasLittleToDoDoesNotWaitBehindWhoHasMuch) {
  for (const char* line : {"a1", "a2", "a3", "a4", "a5"}) Post("a", line);
  for (const char* line : {"b1", "b2"}) Post("b", line);
  Post("c", "c1");
  EXPECT_THAT(Run(), ElementsAre("a1", "b1", "c1", "a2", "b2", "a3", "a4", "a5"));
}

TEST_F(InTurnTest, WhoComesLaterIsNextButOne) {
  for (const char* line : {"a1", "a2", "a3"}) Post("a", line);
  boost::asio::post(InTurn(loop_->get_executor(), "a"), [this] { Post("b", "b1"); });
  for (const char* line : {"a4", "a5"}) Post("a", line);
  EXPECT_THAT(Run(), ElementsAre("a1", "a2", "a3", "a4", "b1", "a5"));
}

TEST_F(InTurnTest, TasksThatTakeNoTurnsAreNotHeldUp) {
  for (int i = 0; i < 1000; ++i) Post("a", "a");
  boost::asio::post(*loop_, [this] { lines_.push_back("other"); });
  const std::vector<std::string> lines = Run();
  ASSERT_THAT(lines, SizeIs(1001));
  const auto other = std::find(lines.begin(), lines.end(), "other");
  EXPECT_LE(other - lines.begin(), std::max(2u, std::thread::hardware_concurrency()));
}

TEST(InTurnBulkTest, WhoDoesThingsInBulkIsServedByThreadsOfLowerPriority) {
  constexpr int kTasks = 20;
  const auto priority = [] { return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())); };
  ThreadPool pool(1);
  base::Mutex mutex;
  std::vector<int> bulk;
  std::promise<void> bulk_done;
  // Pushed at once, since the pool's only thread does it.
  boost::asio::post(pool.executor(), [&] {
    for (int i = 0; i < kTasks; ++i) {
      boost::asio::post(InTurn(pool.executor(), "bulk"), [&] {
        base::MutexLock lock(mutex);
        bulk.push_back(priority());
        if (bulk.size() == kTasks) bulk_done.set_value();
      });
    }
  });
  bulk_done.get_future().get();
  std::promise<int> other;
  boost::asio::post(InTurn(pool.executor(), "other"), [&] { other.set_value(priority()); });
  const int usual = priority();
  EXPECT_EQ(other.get_future().get(), usual);
  base::MutexLock lock(mutex);
  // The first one's turn had come before there were many; of the rest some may come back if
  // this machine takes longer for them than somebody counts as one who does things in bulk.
  const int lower = std::min(usual + 10, 19);
  EXPECT_THAT(bulk, testing::Each(testing::AnyOf(usual, lower)));
  EXPECT_THAT(bulk, testing::Contains(lower));
}

TEST_F(InTurnTest, AWaitingCoroutineKeepsTheLoopRunning) {
  std::jthread thread;
  auto wait = [&thread](absl::AnyInvocable<void(int)> done) {
    thread = std::jthread([done = std::move(done)]() mutable { done(42); });
  };
  auto task = [this, wait]() -> Awaitable<void> {
    const int result = co_await AwaitCallback<int>(wait);
    lines_.push_back(std::to_string(result));
  };
  Spawn(InTurn(loop_->get_executor(), "a"), task());
  EXPECT_THAT(Run(), ElementsAre("42"));
}

TEST_F(InTurnTest, WhatHasNotRunIsDroppedWithTheContext) {
  struct PostsWhenDestroyed {
    Executor executor;
    ~PostsWhenDestroyed() {
      boost::asio::post(executor, [] { ADD_FAILURE() << "runs without a context"; });
    }
  };
  auto value = std::make_shared<PostsWhenDestroyed>(InTurn(loop_->get_executor(), "b"));
  const std::weak_ptr<PostsWhenDestroyed> weak = value;
  boost::asio::post(InTurn(loop_->get_executor(), "a"), [value = std::move(value)] {});
  loop_.reset();
  EXPECT_TRUE(weak.expired());
  EXPECT_THAT(lines_, IsEmpty());
}

TEST(InTurnOnAPoolTest, EveryTaskOfManyThreadsRunsOnce) {
  constexpr int kTasks = 20'000;
  ThreadPool pool(4);
  std::atomic<int> ran = 0;
  std::promise<void> all_ran;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        for (int j = 0; j < kTasks; ++j) {
          boost::asio::post(InTurn(pool.executor(), std::to_string((i + j) % 7)), [&] {
            if (++ran == 4 * kTasks) all_ran.set_value();
          });
        }
      });
    }
  }
  all_ran.get_future().wait();
  EXPECT_EQ(ran, 4 * kTasks);
  EXPECT_EQ(RunSyncOn(InTurn(pool.executor(), "a"), []() -> Awaitable<int> { co_return 7; }()),
            7);
}

}  // namespace
}  // namespace certwright::runtime
