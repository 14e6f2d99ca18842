// Awaitable: the coroutine type of every asynchronous function here, and the few ways to
// start, join and bridge such functions.
//
// Threading: a spawned coroutine gets a strand of its own, and resumes on it after each
// wait, whichever thread completed the wait. All that it calls and joins (WhenAll) runs on
// that strand too, so one coroutine's locals and those of its parts need no lock; what
// different spawned coroutines share does. A coroutine returns errors as absl::Status and
// never throws: an exception that leaves a spawned coroutine ends the process.
//
// GCC 12 destroys aggregate temporaries inside a co_await expression twice: give such an
// argument a name first.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "boost/asio/any_io_executor.hpp"
#include "boost/asio/async_result.hpp"
#include "boost/asio/awaitable.hpp"
#include "boost/asio/co_spawn.hpp"
#include "boost/asio/execution/outstanding_work.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/prefer.hpp"
#include "boost/asio/strand.hpp"
#include "boost/asio/this_coro.hpp"
#include "boost/asio/use_awaitable.hpp"

namespace certwright::runtime {

using Executor = boost::asio::any_io_executor;
template <typename T>
using Awaitable = boost::asio::awaitable<T>;

// Runs `task` on `executor` and forgets it. What it uses must outlive it.
inline void Spawn(const Executor& executor, Awaitable<void> task) {
  boost::asio::co_spawn(boost::asio::make_strand(executor), std::move(task),
                        [](const std::exception_ptr& error) {
                          if (error) std::terminate();
                        });
}

// Runs `task` on `executor` as it is; `done` gets its result, there too.
template <typename T, typename Done>
void SpawnOnThen(const Executor& executor, Awaitable<T> task, Done done) {
  // The result travels as an optional: Asio wants to default-construct it.
  auto boxed = [](Awaitable<T> inner) -> Awaitable<std::optional<T>> {
    co_return std::optional<T>(co_await std::move(inner));
  };
  boost::asio::co_spawn(executor, boxed(std::move(task)),
                        [done = std::move(done)](const std::exception_ptr& error,
                                                 std::optional<T> result) mutable {
                          if (error || !result.has_value()) std::terminate();
                          done(*std::move(result));
                        });
}

// Runs `task` on a strand of `executor`; `done` gets its result, on that strand.
template <typename T, typename Done>
void SpawnThen(const Executor& executor, Awaitable<T> task, Done done) {
  SpawnOnThen<T>(boost::asio::make_strand(executor), std::move(task), std::move(done));
}

// Waits for a callback-style operation. `initiate` is called at once with a function that
// takes the result; it is to be called exactly once, from any thread, at any time (also
// within `initiate`). Dropping it uncalled destroys the waiting coroutine.
template <typename T, typename Initiate>
Awaitable<T> AwaitCallback(Initiate initiate) {
  return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void(T)>(
      [initiate = std::move(initiate)](auto handler) mutable {
        // Not a work guard, whose executor outlives its work: the loop may be gone then.
        Executor work = boost::asio::prefer(boost::asio::get_associated_executor(handler),
                                            boost::asio::execution::outstanding_work.tracked);
        absl::AnyInvocable<void(T)> done = [work = std::move(work),
                                            handler = std::move(handler)](T result) mutable {
          boost::asio::post(
              work, [handler = std::move(handler), result = std::move(result)]() mutable {
                handler(std::move(result));
              });
        };
        initiate(std::move(done));
      },
      boost::asio::use_awaitable);
}

// Goes on after all else that waits for the executor, so that a long computation keeps nobody
// waiting.
inline Awaitable<void> Yield() {
  co_await boost::asio::post(co_await boost::asio::this_coro::executor,
                             boost::asio::use_awaitable);
}

// Runs all `tasks` concurrently (never in parallel) on the caller's strand; results are in
// the same order.
template <typename T>
Awaitable<std::vector<T>> WhenAll(std::vector<Awaitable<T>> tasks) {
  struct State {
    explicit State(std::size_t count) : results(count), left(count) {}
    std::vector<std::optional<T>> results;
    std::atomic<std::size_t> left;
  };
  auto state = std::make_shared<State>(tasks.size());
  if (!tasks.empty()) {
    const Executor executor = co_await boost::asio::this_coro::executor;
    auto start = [&tasks, state, executor](absl::AnyInvocable<void(bool)> done) {
      auto shared_done = std::make_shared<absl::AnyInvocable<void(bool)>>(std::move(done));
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        SpawnOnThen<T>(executor, std::move(tasks[i]), [state, shared_done, i](T result) {
          state->results[i] = std::move(result);
          if (state->left.fetch_sub(1) == 1) (*shared_done)(true);
        });
      }
    };
    co_await AwaitCallback<bool>(std::move(start));
  }
  std::vector<T> results;
  results.reserve(state->results.size());
  for (std::optional<T>& result : state->results) results.push_back(*std::move(result));
  co_return results;
}

}  // namespace certwright::runtime
