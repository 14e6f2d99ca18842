#include "lib/runtime/thread_pool.h"

#include <algorithm>

namespace certwright::runtime {

ThreadPool::ThreadPool(int threads) : work_(boost::asio::make_work_guard(context_)) {
  if (threads <= 0) threads = std::max(1u, std::thread::hardware_concurrency());
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { context_.run(); });
}

void ThreadPool::Stop() {
  context_.stop();
  threads_.clear();
}

}  // namespace certwright::runtime
