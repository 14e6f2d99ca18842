// ThreadPool: the threads of a process on which all coroutines run.
//
// Lifetime: Stop() (or the destructor) ends the threads and destroys the coroutines that
// still wait, so what those use must outlive the pool's Stop(). Executors and timers made
// from it are unusable after destruction.
#pragma once

#include <thread>
#include <vector>

#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/io_context.hpp"
#include "lib/runtime/awaitable.h"

namespace certwright::runtime {

class ThreadPool {
 public:
  // `threads` 0 means one per core.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool() { Stop(); }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  Executor executor() { return context_.get_executor(); }

  // Lets running callbacks finish, runs no others, joins the threads. Not from a pool thread.
  void Stop();

 private:
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::vector<std::jthread> threads_;
};

}  // namespace certwright::runtime
