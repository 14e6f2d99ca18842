#include "lib/store/sqlite_store.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/store/sqlite_file.h"
#include "lib/store/sqlite_queries.h"
#include "lib/store/sqlite_readers.h"
#include "lib/store/sqlite_writer.h"
#include "lib/store/watch_feed.h"

namespace certwright::store {
namespace {

using runtime::Awaitable;
using runtime::Context;

class OpenedSqliteStore final : public SqliteStore {
 public:
  OpenedSqliteStore(std::unique_ptr<FileLock> lock, std::unique_ptr<SqliteReaders> readers,
                    std::unique_ptr<SqliteConnection> connection, StoreState state,
                    const SqliteOptions& options)
      : lock_(std::move(lock)),
        readers_(std::move(readers)),
        feed_(state.meta.revision,
              [this](const std::string& prefix, int64_t from, int64_t to,
                     int64_t limit) -> absl::StatusOr<ChangeBatch> {
                CW_ASSIGN_OR_RETURN(SqliteReaders::Lease reader, readers_->Take());
                return ReadChanges(*reader, prefix, from, to, limit);
              }),
        writer_(std::move(connection), std::move(state), feed_, options) {}

  Awaitable<absl::StatusOr<Record>> Get(Context context, std::string key) override {
    co_return ReadNow(context, key);
  }

  Awaitable<absl::StatusOr<ListResult>> List(Context context, ListRequest request) override {
    CW_CO_RETURN_IF_ERROR(context.Check());
    CW_CO_ASSIGN_OR_RETURN(SqliteReaders::Lease reader, readers_->Take());
    co_return ReadList(*reader, request);
  }

  Awaitable<absl::StatusOr<int64_t>> Commit(Context context,
                                            std::vector<Mutation> mutations) override {
    CW_CO_RETURN_IF_ERROR(ValidateMutations(mutations));
    auto start = [&](SqliteWriter::Done done) {
      writer_.Submit(std::move(context), std::move(mutations), std::move(done));
    };
    co_return co_await runtime::AwaitCallback<absl::StatusOr<int64_t>>(std::move(start));
  }

  std::unique_ptr<WatchHandle> Watch(std::string prefix, int64_t from_revision,
                                     WatchCallback callback,
                                     runtime::Executor executor) override {
    return feed_.Watch(std::move(prefix), from_revision, std::move(callback),
                       std::move(executor));
  }

  Awaitable<absl::StatusOr<int64_t>> CurrentRevision(Context context) override {
    CW_CO_RETURN_IF_ERROR(context.Check());
    CW_CO_ASSIGN_OR_RETURN(SqliteReaders::Lease reader, readers_->Take());
    CW_CO_ASSIGN_OR_RETURN(const StoreMeta meta, ReadMeta(*reader));
    co_return meta.revision;
  }

  Awaitable<absl::Status> Compact(Context context, int64_t before_revision) override {
    auto start = [&](SqliteWriter::Done done) {
      writer_.SubmitCompaction(std::move(context), before_revision, std::move(done));
    };
    const auto compacted =
        co_await runtime::AwaitCallback<absl::StatusOr<int64_t>>(std::move(start));
    co_return compacted.status();
  }

  Awaitable<absl::Status> Scrub(Context context) override {
    CW_CO_ASSIGN_OR_RETURN(const int64_t revision, co_await CurrentRevision(context));
    CW_CO_RETURN_IF_ERROR(co_await Compact(context, revision));
    auto start = [&](SqliteWriter::Done done) {
      writer_.SubmitRewrite(std::move(context), std::move(done));
    };
    const auto rewritten =
        co_await runtime::AwaitCallback<absl::StatusOr<int64_t>>(std::move(start));
    co_return rewritten.status();
  }

  SqliteStats stats() const override { return writer_.stats(); }

 private:
  absl::StatusOr<Record> ReadNow(const Context& context, const std::string& key) {
    CW_RETURN_IF_ERROR(context.Check());
    CW_ASSIGN_OR_RETURN(SqliteReaders::Lease reader, readers_->Take());
    CW_ASSIGN_OR_RETURN(std::optional<Record> record, ReadRecord(*reader, key));
    if (!record.has_value()) return absl::NotFoundError(key + ": not found");
    return *std::move(record);
  }

  // Released last; destroyed in reverse order: the writer stops before the feed does.
  const std::unique_ptr<FileLock> lock_;
  const std::unique_ptr<SqliteReaders> readers_;
  WatchFeed feed_;
  SqliteWriter writer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStore>> OpenSqliteStore(const std::string& path,
                                                             const SqliteOptions& options) {
  CW_ASSIGN_OR_RETURN(std::unique_ptr<FileLock> lock, FileLock::Take(path));
  CW_ASSIGN_OR_RETURN(std::unique_ptr<SqliteConnection> connection,
                      OpenDatabase(path, options, *lock));
  StoreState state{.meta = {}, .log_bytes = 0, .usage = StoreUsage(options.quotas)};
  CW_ASSIGN_OR_RETURN(state.meta, ReadMeta(*connection));
  CW_ASSIGN_OR_RETURN(state.log_bytes, ReadLogSize(*connection));
  CW_RETURN_IF_ERROR(ReadUsage(*connection, state.usage));
  return std::make_unique<OpenedSqliteStore>(std::move(lock),
                                             std::make_unique<SqliteReaders>(path),
                                             std::move(connection), std::move(state), options);
}

}  // namespace certwright::store
