#include "lib/store/sqlite_queries.h"

#include <zlib.h>

#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"

namespace certwright::store {
namespace {

constexpr char kBegin[] = "BEGIN";
constexpr char kCommit[] = "COMMIT";
constexpr char kMeta[] = "SELECT revision, compacted FROM meta WHERE id = 1";
constexpr char kRecord[] =
    "SELECT value, create_revision, mod_revision, checksum FROM records WHERE key = ?1";
constexpr char kAllRecords[] = "SELECT key, value, checksum FROM records";
// length() does not read the value.
constexpr char kRecordSizes[] = "SELECT key, length(value) FROM records";
constexpr char kLogSize[] =
    "SELECT count(*), ifnull(sum(length(key)), 0), ifnull(sum(length(previous_value)), 0) "
    "FROM changes";
// ?1 <= key, ?2 < key, key < ?3 (NULL: no end).
constexpr char kList[] =
    "SELECT key, value, create_revision, mod_revision, checksum FROM records "
    "WHERE key >= ?1 AND key > ?2 AND (?3 IS NULL OR key < ?3) ORDER BY key LIMIT ?4";
// What was there at revision ?5: records that have not changed since, and what the first
// later change of each other key replaced. ?6 is the id of the first change after it.
constexpr char kListAt[] =
    "SELECT key, value, create_revision, mod_revision, checksum FROM records "
    "WHERE key >= ?1 AND key > ?2 AND (?3 IS NULL OR key < ?3) AND mod_revision <= ?5 "
    "UNION ALL "
    "SELECT key, previous_value, previous_create_revision, previous_mod_revision, "
    "previous_checksum FROM changes "
    "WHERE key >= ?1 AND key > ?2 AND (?3 IS NULL OR key < ?3) AND id >= ?6 "
    "AND previous_mod_revision <= ?5 "
    "ORDER BY key LIMIT ?4";
constexpr char kChanges[] =
    "SELECT id, key, deleted, previous_create_revision, previous_mod_revision, previous_value, "
    "previous_checksum FROM changes WHERE id >= ?1 AND id < ?2 ORDER BY id";
// The value that a put has written is what the key's next change replaced, or is still there.
constexpr char kNextChange[] =
    "SELECT previous_value, previous_checksum FROM changes WHERE key = ?1 AND id > ?2 ORDER BY "
    "id LIMIT 1";

// A read transaction, so that several statements see the same state.
class Snapshot {
 public:
  explicit Snapshot(SqliteConnection& connection) : connection_(connection) {}
  ~Snapshot() {
    if (!begun_) return;
    if (!connection_.Query(kCommit).Run().ok()) connection_.Rollback();
  }
  absl::Status Begin() {
    absl::Status status = connection_.Query(kBegin).Run();
    begun_ = status.ok();
    return status;
  }

 private:
  SqliteConnection& connection_;
  bool begun_ = false;
};

// Shown to whoever lists or watches.
absl::Status CompactedError(int64_t revision, const StoreMeta& meta) {
  return absl::OutOfRangeError(absl::StrCat("revision ", revision,
                                            " is not available: changes from ", meta.compacted,
                                            " to ", meta.revision, " are; list again"));
}

// The value in a column of the row that `query` stands on, checked against its checksum.
absl::StatusOr<std::string> CheckedValue(const SqliteConnection& connection,
                                         const SqliteQuery& query, absl::string_view key,
                                         int value_column, int checksum_column) {
  const absl::string_view value = query.View(value_column);
  if (!query.IsNull(checksum_column) && query.Int(checksum_column) != ChecksumOf(key, value)) {
    return absl::DataLossError(
        absl::StrCat(connection.path(), ": the value of ", key,
                     " has changed on the disk: its checksum is wrong; restore a backup"));
  }
  return std::string(value);
}

absl::StatusOr<std::string> ReadWrittenValue(SqliteConnection& connection,
                                             const std::string& key, int64_t change_id) {
  SqliteQuery next = connection.Query(kNextChange);
  next.Bind(key).Bind(change_id);
  CW_ASSIGN_OR_RETURN(const bool replaced, next.Step());
  if (replaced) return CheckedValue(connection, next, key, 0, 1);
  CW_ASSIGN_OR_RETURN(std::optional<Record> record, ReadRecord(connection, key));
  if (!record.has_value()) {
    return absl::DataLossError(
        absl::StrCat(connection.path(), ": the value of ", key, " is missing"));
  }
  return std::move(record->value);
}

// The event of the row that `changes` stands on.
absl::StatusOr<Event> ReadEvent(SqliteConnection& connection, const SqliteQuery& changes) {
  Event event;
  const int64_t id = changes.Int(0);
  event.revision = RevisionOfChange(id);
  event.record.key = changes.Bytes(1);
  const bool existed = !changes.IsNull(4);
  if (changes.Int(2) != 0) {
    event.type = Event::kDelete;
    event.record.create_revision = changes.Int(3);
    event.record.mod_revision = changes.Int(4);
    CW_ASSIGN_OR_RETURN(event.record.value,
                        CheckedValue(connection, changes, event.record.key, 5, 6));
    return event;
  }
  event.type = Event::kPut;
  event.created = !existed;
  event.record.create_revision = existed ? changes.Int(3) : event.revision;
  event.record.mod_revision = event.revision;
  CW_ASSIGN_OR_RETURN(event.record.value, ReadWrittenValue(connection, event.record.key, id));
  return event;
}

}  // namespace

int64_t ChecksumOf(absl::string_view key, absl::string_view value) {
  uLong crc = crc32_z(0, nullptr, 0);
  for (const absl::string_view part : {key, value}) {
    // zlib begins anew where there is no buffer.
    if (part.empty()) continue;
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(part.data()), part.size());
  }
  return static_cast<int64_t>(crc);
}

absl::Status CheckRecords(SqliteConnection& connection) {
  SqliteQuery query = connection.Query(kAllRecords);
  while (true) {
    CW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return absl::OkStatus();
    CW_RETURN_IF_ERROR(CheckedValue(connection, query, query.View(0), 1, 2).status());
  }
}

int64_t ChangeSize(int64_t key_bytes, int64_t previous_bytes) {
  constexpr int64_t kNumbers = 64;
  return kNumbers + 2 * key_bytes + previous_bytes;
}

absl::StatusOr<int64_t> ReadLogSize(SqliteConnection& connection) {
  SqliteQuery query = connection.Query(kLogSize);
  CW_RETURN_IF_ERROR(query.Step().status());
  return query.Int(0) * ChangeSize(0, 0) + 2 * query.Int(1) + query.Int(2);
}

absl::Status ReadUsage(SqliteConnection& connection, StoreUsage& usage) {
  SqliteQuery query = connection.Query(kRecordSizes);
  while (true) {
    CW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return absl::OkStatus();
    usage.Add(query.View(0), query.Int(1));
  }
}

absl::StatusOr<StoreMeta> ReadMeta(SqliteConnection& connection) {
  SqliteQuery query = connection.Query(kMeta);
  CW_ASSIGN_OR_RETURN(const bool found, query.Step());
  if (!found) {
    return absl::DataLossError(absl::StrCat(connection.path(), ": its revision is missing"));
  }
  return StoreMeta{query.Int(0), query.Int(1)};
}

absl::StatusOr<std::optional<Record>> ReadRecord(SqliteConnection& connection,
                                                 const std::string& key) {
  SqliteQuery query = connection.Query(kRecord);
  query.Bind(key);
  CW_ASSIGN_OR_RETURN(const bool found, query.Step());
  if (!found) return std::optional<Record>();
  CW_ASSIGN_OR_RETURN(std::string value, CheckedValue(connection, query, key, 0, 3));
  return std::optional<Record>(Record{key, std::move(value), query.Int(1), query.Int(2)});
}

absl::StatusOr<ListResult> ReadList(SqliteConnection& connection, const ListRequest& request) {
  Snapshot snapshot(connection);
  CW_RETURN_IF_ERROR(snapshot.Begin());
  CW_ASSIGN_OR_RETURN(const StoreMeta meta, ReadMeta(connection));
  const int64_t at = request.at_revision == 0 ? meta.revision : request.at_revision;
  if (at < meta.compacted || at > meta.revision) {
    return CompactedError(at, meta);
  }
  const bool past = at != meta.revision;
  const std::optional<std::string> end = PrefixEnd(request.prefix);
  SqliteQuery query = connection.Query(past ? kListAt : kList);
  query.Bind(request.prefix).Bind(request.start_after);
  end.has_value() ? query.Bind(*end) : query.BindNull();
  // One more than asked for tells whether there is more.
  query.Bind(request.limit > 0 ? request.limit + 1 : std::numeric_limits<int64_t>::max());
  if (past) query.Bind(at).Bind(FirstChangeId(at + 1));
  ListResult result;
  result.revision = at;
  std::size_t bytes = 0;
  while (true) {
    CW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) break;
    result.more =
        request.limit > 0 && (static_cast<int64_t>(result.records.size()) == request.limit ||
                              bytes >= kMaxListBytes);
    if (result.more) break;
    std::string key = query.Bytes(0);
    CW_ASSIGN_OR_RETURN(std::string value, CheckedValue(connection, query, key, 1, 4));
    result.records.push_back(
        Record{std::move(key), std::move(value), query.Int(2), query.Int(3)});
    bytes += SizeOf(result.records.back());
  }
  return result;
}

absl::StatusOr<ChangeBatch> ReadChanges(SqliteConnection& connection, const std::string& prefix,
                                        int64_t from, int64_t to, int64_t limit) {
  Snapshot snapshot(connection);
  CW_RETURN_IF_ERROR(snapshot.Begin());
  CW_ASSIGN_OR_RETURN(const StoreMeta meta, ReadMeta(connection));
  if (from < meta.compacted || from > meta.revision) {
    return CompactedError(from, meta);
  }
  SqliteQuery query = connection.Query(kChanges);
  query.Bind(FirstChangeId(from + 1)).Bind(FirstChangeId(to + 1));
  ChangeBatch batch;
  batch.revision = from;
  std::size_t bytes = 0;
  for (int64_t seen = 0;; ++seen) {
    CW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) {
      batch.revision = to;
      break;
    }
    // A revision is never cut in two.
    const int64_t revision = RevisionOfChange(query.Int(0));
    const bool full = seen >= limit || bytes >= kMaxBatchBytes;
    if (full && revision != batch.revision) break;
    batch.revision = revision;
    if (!absl::StartsWith(query.View(1), prefix)) continue;
    CW_ASSIGN_OR_RETURN(Event event, ReadEvent(connection, query));
    bytes += SizeOf(event.record);
    batch.events.push_back(std::move(event));
  }
  return batch;
}

}  // namespace certwright::store
