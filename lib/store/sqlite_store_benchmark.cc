// Commits and reads per second: bazel run --config=opt //lib/store:sqlite_store_benchmark
// The store is created in the current folder's file system, unless TMPDIR says otherwise.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"
#include "lib/store/sqlite_store.h"

namespace certwright::store {
namespace {

constexpr int kValueBytes = 1500;
constexpr int kWritesPerWriter = 50;

class BenchmarkStore {
 public:
  BenchmarkStore() {
    const char* folder = std::getenv("TMPDIR");
    std::string pattern =
        absl::StrCat(folder != nullptr ? folder : ".", "/store_benchmark_XXXXXX");
    path_ = mkdtemp(pattern.data());
    store_ = OpenSqliteStore(absl::StrCat(path_, "/test.db"), {}).value();
  }
  ~BenchmarkStore() {
    store_.reset();
    std::filesystem::remove_all(path_);
  }
  SqliteStore& operator*() { return *store_; }

 private:
  std::string path_;
  std::unique_ptr<SqliteStore> store_;
};

runtime::Context NoDeadline() {
  return runtime::Context::WithTimeout(base::Clock::Real(), absl::Hours(1));
}

runtime::Awaitable<bool> WriteMany(Store& store, int writer) {
  for (int i = 0; i < kWritesPerWriter; ++i) {
    const auto revision = co_await store.Put(NoDeadline(), absl::StrCat("k/", writer, "/", i),
                                             std::string(kValueBytes, 'v'));
    if (!revision.ok()) std::abort();
  }
  co_return true;
}

runtime::Awaitable<bool> WriteConcurrently(Store& store, int writers) {
  std::vector<runtime::Awaitable<bool>> tasks;
  tasks.reserve(static_cast<std::size_t>(writers));
  for (int i = 0; i < writers; ++i) tasks.push_back(WriteMany(store, i));
  const std::vector<bool> done = co_await runtime::WhenAll(std::move(tasks));
  co_return done.size() == static_cast<std::size_t>(writers);
}

void BM_Commit(benchmark::State& state) {
  BenchmarkStore store;
  runtime::ThreadPool pool;
  const int writers = static_cast<int>(state.range(0));
  for (auto _ : state) {
    runtime::RunSyncOn<bool>(pool.executor(), WriteConcurrently(*store, writers));
  }
  state.SetItemsProcessed(state.iterations() * writers * kWritesPerWriter);
  state.counters["commits/transaction"] =
      static_cast<double>((*store).stats().commits) / (*store).stats().transactions;
}
BENCHMARK(BM_Commit)->Arg(1)->Arg(64)->UseRealTime();

runtime::Awaitable<bool> ReadMany(Store& store, int count) {
  for (int i = 0; i < count; ++i) {
    const auto record =
        co_await store.Get(NoDeadline(), absl::StrCat("k/0/", i % kWritesPerWriter));
    if (!record.ok()) std::abort();
  }
  co_return true;
}

void BM_PointRead(benchmark::State& state) {
  BenchmarkStore store;
  runtime::RunSync<bool>(WriteMany(*store, 0));
  constexpr int kReads = 1000;
  for (auto _ : state) runtime::RunSync<bool>(ReadMany(*store, kReads));
  state.SetItemsProcessed(state.iterations() * kReads);
}
BENCHMARK(BM_PointRead)->UseRealTime();

}  // namespace
}  // namespace certwright::store

BENCHMARK_MAIN();
