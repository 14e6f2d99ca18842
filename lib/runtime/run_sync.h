// RunSync: lets a test (or a main before its servers start) wait for one coroutine.
#pragma once

#include <future>
#include <utility>

#include "boost/asio/io_context.hpp"
#include "lib/runtime/awaitable.h"

namespace certwright::runtime {

// Runs `task` to its end on an event loop of its own, on this thread.
template <typename T>
T RunSync(Awaitable<T> task) {
  boost::asio::io_context context;
  std::optional<T> result;
  SpawnThen<T>(context.get_executor(), std::move(task),
               [&result](T value) { result = std::move(value); });
  context.run();
  return *std::move(result);
}

// Runs `task` on `executor`, whose threads are others than this one, and blocks for it.
template <typename T>
T RunSyncOn(const Executor& executor, Awaitable<T> task) {
  std::promise<T> promise;
  SpawnThen<T>(executor, std::move(task),
               [&promise](T value) { promise.set_value(std::move(value)); });
  return promise.get_future().get();
}

}  // namespace certwright::runtime
