#include "lib/runtime/thread_pool.h"

#include <algorithm>

#include "lib/runtime/in_turn.h"

namespace certwright::runtime {

ThreadPool::ThreadPool(int threads) : work_(boost::asio::make_work_guard(context_)) {
  if (threads <= 0) threads = std::max(1u, std::thread::hardware_concurrency());
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { context_.run(); });
  ServeBulkApart(context_, threads);
}

void ThreadPool::Stop() {
  context_.stop();
  StopServingBulk(context_);
  threads_.clear();
}

}  // namespace certwright::runtime
