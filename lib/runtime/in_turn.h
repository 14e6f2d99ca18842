// InTurn: executors that share the threads of another one fairly. Tasks of one name run in the
// order in which they came, and names take turns, a task each: so whoever has little to do does
// not wait behind all that somebody else has to do.
//
// Tasks that are given to the other executor directly are not held up: of those that take
// turns no more than one for each processor stands in its line.
//
// Threading: safe from any thread.
#pragma once

#include <string>

#include "boost/asio/execution_context.hpp"
#include "lib/runtime/awaitable.h"

namespace certwright::runtime {

// An executor for what is done for `who`, on the threads of `executor`. Both may be copied and
// destroyed at will; the context of `executor` must outlive what is run.
Executor InTurn(const Executor& executor, std::string who);

// Has those who do things in bulk, with many tasks waiting, served by `threads` other threads
// of lower priority. Whoever has one thing to do after the other does not wait for the
// processor behind them then, neither in this process nor in others of the machine; what nobody
// else needs is still theirs. Once, before there are tasks.
void ServeBulkApart(boost::asio::execution_context& context, int threads);
// Joins those threads, after the tasks that run.
void StopServingBulk(boost::asio::execution_context& context);

}  // namespace certwright::runtime
