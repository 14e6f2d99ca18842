// What a SQLite store reads: each function sees one state of the database.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/store/quota.h"
#include "lib/store/sqlite_connection.h"
#include "lib/store/store.h"

namespace certwright::store {

// The id of a row of `changes`: the revision, and the position in its commit.
inline constexpr int64_t kPositionsPerRevision = 65536;
inline int64_t FirstChangeId(int64_t revision) { return revision * kPositionsPerRevision; }
inline int64_t RevisionOfChange(int64_t id) { return id / kPositionsPerRevision; }

struct StoreMeta {
  int64_t revision = 0;   // of the last commit
  int64_t compacted = 0;  // lists at and watches from earlier revisions are impossible

  friend bool operator==(const StoreMeta&, const StoreMeta&) = default;
};

struct ChangeBatch {
  std::vector<Event> events;
  int64_t revision = 0;  // all changes up to this one are in the batch or do not match
};

// Of a record, CRC-32: SQLite does not notice when bits of a value change on the disk.
int64_t ChecksumOf(absl::string_view key, absl::string_view value);

// Reads every record: DATA_LOSS, naming the first whose checksum is wrong.
absl::Status CheckRecords(SqliteConnection& connection);

// The functions below return DATA_LOSS for a value whose checksum is wrong.
absl::StatusOr<StoreMeta> ReadMeta(SqliteConnection& connection);

// What the log of changes takes, in the bytes of ChangeSize().
absl::StatusOr<int64_t> ReadLogSize(SqliteConnection& connection);

// Of a change of `key` that has replaced or deleted `previous_bytes`; indices and columns of
// numbers are accounted for.
int64_t ChangeSize(int64_t key_bytes, int64_t previous_bytes);

// Counts every record.
absl::Status ReadUsage(SqliteConnection& connection, StoreUsage& usage);

// Nothing if absent.
absl::StatusOr<std::optional<Record>> ReadRecord(SqliteConnection& connection,
                                                 const std::string& key);

absl::StatusOr<ListResult> ReadList(SqliteConnection& connection, const ListRequest& request);

// What a batch of changes may hold before it ends; the changes of one revision stay together.
inline constexpr std::size_t kMaxBatchBytes = 1024 * 1024;

// The changes after `from` up to `to` of keys with `prefix`; looks at no more than about
// `limit` changes, and returns no more than about kMaxBatchBytes. OUT_OF_RANGE if `from` is
// compacted.
absl::StatusOr<ChangeBatch> ReadChanges(SqliteConnection& connection, const std::string& prefix,
                                        int64_t from, int64_t to, int64_t limit);

}  // namespace certwright::store
