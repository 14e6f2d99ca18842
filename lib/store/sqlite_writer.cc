#include "lib/store/sqlite_writer.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/fault_point.h"
#include "lib/base/status_macros.h"

namespace certwright::store {
namespace {

constexpr char kBegin[] = "BEGIN IMMEDIATE";
constexpr char kCommit[] = "COMMIT";
constexpr char kStored[] =
    "SELECT id, value, create_revision, mod_revision, checksum FROM records WHERE key = ?1";
constexpr char kInsert[] =
    "INSERT INTO records(key, value, create_revision, mod_revision, checksum) "
    "VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr char kUpdate[] =
    "UPDATE records SET value = ?1, mod_revision = ?2, checksum = ?3 WHERE id = ?4";
constexpr char kDelete[] = "DELETE FROM records WHERE id = ?1";
constexpr char kLogChange[] =
    "INSERT INTO changes(id, key, deleted, time, previous_value, previous_create_revision, "
    "previous_mod_revision, previous_checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
constexpr char kSetMeta[] = "UPDATE meta SET revision = ?1, compacted = ?2 WHERE id = 1";
constexpr char kOldestChanges[] =
    "SELECT id, time, length(key), ifnull(length(previous_value), 0) FROM changes ORDER BY id";
constexpr char kDropChanges[] = "DELETE FROM changes WHERE id < ?1";

// How often a store that cannot be written is tried, and how many bytes a full disk must have
// again before it counts as writable: not just enough for the try.
constexpr std::chrono::seconds kRetryInterval(1);
constexpr int64_t kRoomToGoOn = 1 << 20;

// Changes dropped at most at a time, so that no commit waits long; more than one commit has.
// Where many bytes have been written at a time, more changes go.
constexpr int64_t kCompactionStep = 4 * kMaxMutations;

// `stored` is null if there is no such record.
absl::Status CheckExpectation(const Mutation& mutation, const Record* stored) {
  if (!mutation.value.has_value() && stored == nullptr) {
    return absl::NotFoundError(absl::StrCat(mutation.key, ": not found"));
  }
  if (!mutation.expected_revision.has_value()) return absl::OkStatus();
  const int64_t expected = *mutation.expected_revision;
  const int64_t found = stored != nullptr ? stored->mod_revision : 0;
  if (expected == found) return absl::OkStatus();
  if (expected == 0) {
    return absl::AlreadyExistsError(absl::StrCat(mutation.key, ": exists already"));
  }
  if (found == 0) {
    return absl::AbortedError(absl::StrCat(mutation.key, ": is not there any more; revision ",
                                           expected, " was expected"));
  }
  return absl::AbortedError(absl::StrCat(mutation.key, ": has been changed: its revision is ",
                                         found, ", not the expected ", expected));
}

}  // namespace

SqliteWriter::SqliteWriter(std::unique_ptr<SqliteConnection> connection, StoreState state,
                           WatchFeed& feed, const SqliteOptions& options)
    : connection_(std::move(connection)),
      feed_(feed),
      options_(options),
      meta_(state.meta),
      log_bytes_(state.log_bytes),
      usage_(std::move(state.usage)),
      thread_([this] { Run(); }) {}

SqliteWriter::~SqliteWriter() {
  base::MutexLock lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
}

void SqliteWriter::Submit(runtime::Context context, std::vector<Mutation> mutations,
                          Done done) {
  Enqueue(Request{std::move(context), std::move(mutations), std::move(done), {}, {}, {}});
}

void SqliteWriter::SubmitCompaction(runtime::Context context, int64_t revision, Done done) {
  Enqueue(Request{std::move(context), {}, std::move(done), revision, {}, {}});
}

void SqliteWriter::SubmitRewrite(runtime::Context context, Done done) {
  Enqueue(Request{std::move(context), {}, std::move(done), {}, true, {}});
}

void SqliteWriter::Enqueue(Request request) {
  base::MutexLock lock(mutex_);
  queue_.push_back(std::move(request));
  wake_.notify_one();
}

SqliteStats SqliteWriter::stats() const { return {commits_.load(), transactions_.load()}; }

void SqliteWriter::Run() {
  while (true) {
    Group group = WaitForWork();
    if (group.empty()) {
      base::MutexLock lock(mutex_);
      if (stopping_ && queue_.empty()) return;
    } else if (group.front().rewrite) {
      Request& request = group.front();
      const absl::Status rewritten = Rewrite(request.context);
      request.done(rewritten.ok() ? absl::StatusOr<int64_t>(meta_.revision) : rewritten);
    } else {
      ServeGroup(group);
    }
    if (group.empty() && !failure_.ok()) NoteOutcome(TryToWrite());
  }
}

// The next group; an empty one at the end, and when storage has failed and it is time to try
// it.
SqliteWriter::Group SqliteWriter::WaitForWork() {
  const bool failing = !failure_.ok() && !absl::IsDataLoss(failure_);
  base::MutexLock lock(mutex_);
  const auto has_work = [this]() CW_REQUIRES(mutex_) { return !queue_.empty() || stopping_; };
  if (failing) {
    wake_.wait_for(mutex_, kRetryInterval, has_work);
  } else {
    wake_.wait(mutex_, has_work);
  }
  Group group;
  const auto size = std::min<std::size_t>(queue_.size(), std::max(options_.max_group, 1));
  for (std::size_t i = 0; i < size; ++i) {
    // A rewrite is no transaction: it is alone in its group.
    if (queue_.front().rewrite && i > 0) break;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
    if (group.back().rewrite) break;
  }
  return group;
}

void SqliteWriter::ServeGroup(Group& group) {
  const absl::Status status = Transact(group, 0, group.size());
  if (!status.ok()) {
    for (std::size_t i = 0; i < group.size(); ++i) {
      group[i].result.reset();
      const absl::Status alone = group.size() == 1 ? status : Transact(group, i, i + 1);
      if (!alone.ok()) group[i].result = alone;
      if (!alone.ok() || group.size() > 1) NoteOutcome(alone);
    }
  } else {
    NoteOutcome(status);
  }
  for (Request& request : group) {
    // A compaction that is not finished goes to the end of the queue.
    if (!request.result.has_value()) {
      Enqueue(std::move(request));
      continue;
    }
    if (request.result->ok() && !request.compact_to.has_value()) commits_.fetch_add(1);
    request.done(*std::move(request.result));
  }
}

// Commits the requests from `begin` to `end` in one transaction and fills in their results.
// On error nothing is changed, and their results mean nothing.
absl::Status SqliteWriter::Transact(Group& group, std::size_t begin, std::size_t end) {
  pending_ = meta_;
  pending_log_bytes_ = log_bytes_;
  changes_.clear();
  now_ = absl::ToUnixSeconds(options_.clock->Now());
  absl::Status status = ApplyGroup(group, begin, end);
  if (!status.ok()) {
    connection_->Rollback();
    usage_.Rollback();
    return status;
  }
  usage_.Commit();
  log_bytes_ = pending_log_bytes_;
  if (pending_ != meta_) transactions_.fetch_add(1);
  base::Reach(base::FaultPoint::kStoreCommitted);
  if (pending_.compacted != meta_.compacted) feed_.Compacted(pending_.compacted);
  meta_ = pending_;
  feed_.Publish(std::exchange(changes_, {}));
  return absl::OkStatus();
}

absl::Status SqliteWriter::ApplyGroup(Group& group, std::size_t begin, std::size_t end) {
  CW_RETURN_IF_ERROR(connection_->Query(kBegin).Run());
  base::Reach(base::FaultPoint::kStoreTransactionBegun);
  for (std::size_t i = begin; i < end; ++i) {
    const absl::Status context = group[i].context.Check();
    if (!context.ok()) {
      group[i].result = context;
    } else if (group[i].compact_to.has_value()) {
      CW_RETURN_IF_ERROR(CompactRequested(group[i]));
    } else {
      CW_RETURN_IF_ERROR(Apply(group[i]));
    }
  }
  if (!changes_.empty()) CW_RETURN_IF_ERROR(CompactOld());
  if (pending_ != meta_) {
    CW_RETURN_IF_ERROR(
        connection_->Query(kSetMeta).Bind(pending_.revision).Bind(pending_.compacted).Run());
  }
  base::Reach(base::FaultPoint::kStoreCommitting);
  return connection_->Query(kCommit).Run();
}

// Checks all of a commit's expectations and the quotas, then makes its changes. Only what
// spoils the whole transaction is returned as an error.
absl::Status SqliteWriter::Apply(Request& request) {
  std::vector<std::optional<Stored>> stored;
  for (const Mutation& mutation : request.mutations) {
    CW_ASSIGN_OR_RETURN(std::optional<Stored> found, ReadStored(mutation.key));
    const absl::Status expectation =
        CheckExpectation(mutation, found.has_value() ? &found->record : nullptr);
    if (!expectation.ok()) {
      request.result = expectation;
      return absl::OkStatus();
    }
    stored.push_back(std::move(found));
  }
  if (const absl::Status quotas = CountUsage(request, stored); !quotas.ok()) {
    request.result = quotas;
    return absl::OkStatus();
  }
  const int64_t revision = pending_.revision + 1;
  CommittedChanges committed;
  committed.revision = revision;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    CW_ASSIGN_OR_RETURN(Event event, Write(request.mutations[i], std::move(stored[i]), revision,
                                           FirstChangeId(revision) + static_cast<int64_t>(i)));
    committed.events.push_back(std::move(event));
  }
  pending_.revision = revision;
  changes_.push_back(std::move(committed));
  request.result = revision;
  return absl::OkStatus();
}

// Counts the commit, or says which quota it would exceed.
absl::Status SqliteWriter::CountUsage(const Request& request,
                                      const std::vector<std::optional<Stored>>& stored) {
  const auto size = [](const std::string& value) { return static_cast<int64_t>(value.size()); };
  UsageChange change;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const Mutation& mutation = request.mutations[i];
    if (!usage_.Counts(mutation.key)) continue;
    change.Note(mutation.key, stored[i].has_value() ? size(stored[i]->record.value) : -1,
                mutation.value.has_value() ? size(*mutation.value) : -1,
                mutation.writer == Writer::kUser);
  }
  CW_RETURN_IF_ERROR(usage_.Check(change));
  usage_.Apply(std::move(change));
  return absl::OkStatus();
}

absl::StatusOr<std::optional<SqliteWriter::Stored>> SqliteWriter::ReadStored(
    const std::string& key) {
  SqliteQuery query = connection_->Query(kStored);
  query.Bind(key);
  CW_ASSIGN_OR_RETURN(const bool found, query.Step());
  if (!found) return std::optional<Stored>();
  Stored stored;
  stored.id = query.Int(0);
  stored.record = Record{key, query.Bytes(1), query.Int(2), query.Int(3)};
  if (!query.IsNull(4)) stored.checksum = query.Int(4);
  return std::optional<Stored>(std::move(stored));
}

absl::Status SqliteWriter::LogChange(const Mutation& mutation,
                                     const std::optional<Stored>& stored, int64_t change_id) {
  pending_log_bytes_ +=
      ChangeSize(static_cast<int64_t>(mutation.key.size()),
                 stored.has_value() ? static_cast<int64_t>(stored->record.value.size()) : 0);
  SqliteQuery query = connection_->Query(kLogChange);
  query.Bind(change_id).Bind(mutation.key).Bind(int64_t{mutation.value ? 0 : 1}).Bind(now_);
  if (stored.has_value()) {
    query.Bind(stored->record.value)
        .Bind(stored->record.create_revision)
        .Bind(stored->record.mod_revision);
    stored->checksum.has_value() ? query.Bind(*stored->checksum) : query.BindNull();
  }
  return query.Run();
}

// Makes one change and returns what watchers are told of it.
absl::StatusOr<Event> SqliteWriter::Write(const Mutation& mutation,
                                          std::optional<Stored> stored, int64_t revision,
                                          int64_t change_id) {
  CW_RETURN_IF_ERROR(LogChange(mutation, stored, change_id));
  Event event;
  event.revision = revision;
  if (!mutation.value.has_value()) {
    CW_RETURN_IF_ERROR(connection_->Query(kDelete).Bind(stored->id).Run());
    event.type = Event::kDelete;
    event.record = std::move(stored->record);
    return event;
  }
  event.created = !stored.has_value();
  const int64_t created = event.created ? revision : stored->record.create_revision;
  event.record = Record{mutation.key, *mutation.value, created, revision};
  const int64_t checksum = ChecksumOf(mutation.key, *mutation.value);
  if (event.created) {
    CW_RETURN_IF_ERROR(connection_->Query(kInsert)
                           .Bind(mutation.key)
                           .Bind(*mutation.value)
                           .Bind(revision)
                           .Bind(revision)
                           .Bind(checksum)
                           .Run());
  } else {
    CW_RETURN_IF_ERROR(connection_->Query(kUpdate)
                           .Bind(*mutation.value)
                           .Bind(revision)
                           .Bind(checksum)
                           .Bind(stored->id)
                           .Run());
  }
  return event;
}

absl::Status SqliteWriter::CompactOld() {
  std::size_t written = 0;
  for (const CommittedChanges& commit : changes_) written += commit.events.size();
  Drop drop;
  drop.target = pending_.revision - options_.keep_revisions;
  drop.oldest = now_ - absl::ToInt64Seconds(options_.keep_age);
  drop.keep_bytes = options_.keep_bytes;
  drop.limit = std::max(kCompactionStep, 2 * static_cast<int64_t>(written));
  drop.limit_bytes = 2 * (pending_log_bytes_ - log_bytes_);
  return DropChanges(drop).status();
}

absl::Status SqliteWriter::CompactRequested(Request& request) {
  const int64_t target = *request.compact_to;
  if (target > pending_.revision) {
    request.result = absl::OutOfRangeError(absl::StrCat(
        "cannot compact to revision ", target, ": the store is at ", pending_.revision));
    return absl::OkStatus();
  }
  CW_ASSIGN_OR_RETURN(const bool finished,
                      DropChanges({.target = target, .limit = kCompactionStep}));
  if (!finished) return absl::OkStatus();
  pending_.compacted = std::max(pending_.compacted, target);
  request.result = target;
  return absl::OkStatus();
}

// Before those who wait hear of it, so that they find it noted.
void SqliteWriter::NoteOutcome(const absl::Status& status) {
  failure_ = status;
  if (options_.health != nullptr) options_.health->Set(status);
}

// A disk that does not tell is tried.
int64_t SqliteWriter::FreeBytes() const {
  if (options_.free_bytes) return options_.free_bytes();
  struct statvfs disk {};
  if (statvfs(connection_->path().c_str(), &disk) != 0) return kRoomToGoOn;
  return static_cast<int64_t>(disk.f_bavail * disk.f_frsize);
}

// Whether a commit would succeed now; it changes nothing.
absl::Status SqliteWriter::TryToWrite() {
  if (absl::IsResourceExhausted(failure_) && FreeBytes() < kRoomToGoOn) return failure_;
  absl::Status status = connection_->Query(kBegin).Run();
  if (status.ok()) {
    status = connection_->Query(kSetMeta).Bind(meta_.revision).Bind(meta_.compacted).Run();
  }
  if (status.ok()) status = connection_->Query(kCommit).Run();
  if (!status.ok()) connection_->Rollback();
  return status;
}

absl::Status SqliteWriter::Rewrite(const runtime::Context& context) {
  CW_RETURN_IF_ERROR(context.Check());
  CW_RETURN_IF_ERROR(connection_->Execute("VACUUM"));
  CW_ASSIGN_OR_RETURN(const int64_t busy,
                      connection_->ReadInt("PRAGMA wal_checkpoint(TRUNCATE)"));
  if (busy == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(connection_->path(), ": a reader keeps the write-ahead log in use"));
}

// False if there may be more to drop.
absl::StatusOr<bool> SqliteWriter::DropChanges(const Drop& drop) {
  int64_t drop_to = 0;   // revisions of which all changes have been seen
  int64_t dropped = 0;   // their bytes
  int64_t revision = 0;  // of the last change seen
  int64_t bytes = 0;     // of all changes seen
  bool finished = false;
  {
    SqliteQuery query = connection_->Query(kOldestChanges);
    for (int64_t seen = 0;; ++seen) {
      CW_ASSIGN_OR_RETURN(const bool row, query.Step());
      const int64_t next = row ? RevisionOfChange(query.Int(0)) : -1;
      if (next != revision) {
        drop_to = revision;
        dropped = bytes;
        finished = !row || (next > drop.target && query.Int(1) >= drop.oldest &&
                            pending_log_bytes_ - bytes <= drop.keep_bytes);
        if (finished || (seen >= drop.limit && bytes >= drop.limit_bytes)) break;
      }
      revision = next;
      bytes += ChangeSize(query.Int(2), query.Int(3));
    }
  }
  if (drop_to > pending_.compacted) {
    CW_RETURN_IF_ERROR(connection_->Query(kDropChanges).Bind(FirstChangeId(drop_to + 1)).Run());
    pending_.compacted = drop_to;
    pending_log_bytes_ -= dropped;
  }
  return finished;
}

}  // namespace certwright::store
