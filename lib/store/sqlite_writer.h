// SqliteWriter: the one thread that changes the database.
//
// Whatever commits have come while one transaction was being synced to disk form the next
// (group commit). In a group each commit is checked against the effect of those before it,
// and one that fails its check changes nothing and harms no other. If a transaction fails
// as a whole, its commits are tried one by one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/runtime/context.h"
#include "lib/store/quota.h"
#include "lib/store/sqlite_connection.h"
#include "lib/store/sqlite_queries.h"
#include "lib/store/sqlite_store.h"
#include "lib/store/watch_feed.h"

namespace certwright::store {

// What is there when the writer begins.
struct StoreState {
  StoreMeta meta;
  // Of the log of changes, as ReadLogSize() has it.
  int64_t log_bytes = 0;
  StoreUsage usage;
};

class SqliteWriter {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<int64_t>)>;

  // `feed` must outlive this.
  SqliteWriter(std::unique_ptr<SqliteConnection> connection, StoreState state, WatchFeed& feed,
               const SqliteOptions& options);
  // Finishes what has been submitted.
  ~SqliteWriter();
  SqliteWriter(const SqliteWriter&) = delete;
  SqliteWriter& operator=(const SqliteWriter&) = delete;

  // `done` is called on the writer's thread, after the commit is on disk, with its revision.
  // `mutations` have been validated.
  void Submit(runtime::Context context, std::vector<Mutation> mutations, Done done);
  // Forgets the changes up to `revision`, a part at a time between commits.
  void SubmitCompaction(runtime::Context context, int64_t revision, Done done);

  // Rewrites the file without its free space and empties the write-ahead log.
  void SubmitRewrite(runtime::Context context, Done done);

  SqliteStats stats() const;

 private:
  struct Request {
    runtime::Context context;
    std::vector<Mutation> mutations;
    Done done;
    std::optional<int64_t> compact_to;
    bool rewrite = false;
    std::optional<absl::StatusOr<int64_t>> result;
  };
  // A record before its mutation.
  struct Stored {
    int64_t id = 0;
    Record record;
    std::optional<int64_t> checksum;
  };
  // Which of the oldest changes to drop, and when to leave the rest for another time.
  struct Drop {
    // Those of revisions up to this one, those from before, and those above so many bytes.
    int64_t target = 0;
    int64_t oldest = std::numeric_limits<int64_t>::min();
    int64_t keep_bytes = std::numeric_limits<int64_t>::max();
    // Not more than so many once so many bytes have gone.
    int64_t limit = 0;
    int64_t limit_bytes = 0;
  };
  using Group = std::deque<Request>;

  void Run();
  void Enqueue(Request request);
  Group WaitForWork();
  void ServeGroup(Group& group);
  absl::Status Transact(Group& group, std::size_t begin, std::size_t end);
  absl::Status ApplyGroup(Group& group, std::size_t begin, std::size_t end);
  absl::Status Apply(Request& request);
  absl::StatusOr<std::optional<Stored>> ReadStored(const std::string& key);
  absl::Status CountUsage(const Request& request,
                          const std::vector<std::optional<Stored>>& stored);
  absl::StatusOr<Event> Write(const Mutation& mutation, std::optional<Stored> stored,
                              int64_t revision, int64_t change_id);
  absl::Status LogChange(const Mutation& mutation, const std::optional<Stored>& stored,
                         int64_t change_id);
  absl::Status CompactOld();
  absl::Status CompactRequested(Request& request);
  absl::Status Rewrite(const runtime::Context& context);
  void NoteOutcome(const absl::Status& status);
  int64_t FreeBytes() const;
  absl::Status TryToWrite();
  absl::StatusOr<bool> DropChanges(const Drop& drop);

  const std::unique_ptr<SqliteConnection> connection_;
  WatchFeed& feed_;
  const SqliteOptions options_;

  // The rest up to mutex_ is for the writer's thread alone.
  StoreMeta meta_;                 // as on disk
  StoreMeta pending_;              // as it will be after the open transaction
  int64_t log_bytes_;              // as on disk
  int64_t pending_log_bytes_ = 0;  // as it will be after the open transaction
  StoreUsage usage_;
  int64_t now_ = 0;                        // seconds, of the open transaction
  std::vector<CommittedChanges> changes_;  // of the open transaction
  absl::Status failure_;                   // of the last transaction

  std::atomic<int64_t> commits_{0};
  std::atomic<int64_t> transactions_{0};
  base::Mutex mutex_;
  std::condition_variable_any wake_;
  bool stopping_ CW_GUARDED_BY(mutex_) = false;
  Group queue_ CW_GUARDED_BY(mutex_);
  std::jthread thread_;
};

}  // namespace certwright::store
