#include "lib/store/backup.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "lib/base/new_file.h"
#include "lib/base/status_macros.h"
#include "lib/store/sqlite_connection.h"
#include "lib/store/sqlite_file.h"
#include "lib/store/sqlite_queries.h"

namespace certwright::store {
namespace {

using base::FileError;
using base::PutInPlace;
using base::SyncFile;
using base::SyncFolderOf;

bool HasContent(const std::string& path) {
  struct stat file {};
  return stat(path.c_str(), &file) == 0 && file.st_size > 0;
}

// An empty file of mode 0600; what a run that was cut short has left is removed first.
absl::Status MakeEmptyFile(const std::string& path) {
  unlink(path.c_str());
  const int file =
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return FileError(path, "cannot be made", errno);
  close(file);
  return absl::OkStatus();
}

absl::Status CopyFile(const std::string& from, const std::string& to) {
  CW_RETURN_IF_ERROR(MakeEmptyFile(to));
  const int source = open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (source < 0) return FileError(from, "cannot be read", errno);
  const auto close_source = absl::MakeCleanup([source] { close(source); });
  const int target = open(to.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0) return FileError(to, "cannot be written", errno);
  const auto close_target = absl::MakeCleanup([target] { close(target); });
  ssize_t copied = 1;
  while (copied > 0) copied = sendfile(target, source, nullptr, std::size_t{1} << 20);
  if (copied < 0) return FileError(to, "cannot be written", errno);
  return absl::OkStatus();
}

// The whole of `path`, which nobody else has open, is sound and of this service.
absl::StatusOr<BackupReport> CheckCopy(SqliteConnection& connection, const std::string& owner) {
  CW_RETURN_IF_ERROR(CheckOwner(connection, owner));
  CW_ASSIGN_OR_RETURN(const std::string finding,
                      connection.ReadText("PRAGMA integrity_check(1)"));
  if (finding != "ok") {
    return absl::DataLossError(absl::StrCat(connection.path(), ": is damaged: ", finding));
  }
  CW_ASSIGN_OR_RETURN(const int64_t version, connection.ReadInt("PRAGMA user_version"));
  if (version >= 2) CW_RETURN_IF_ERROR(CheckRecords(connection));
  CW_ASSIGN_OR_RETURN(const StoreMeta meta, ReadMeta(connection));
  BackupReport report;
  report.revision = meta.revision;
  CW_ASSIGN_OR_RETURN(report.records, connection.ReadInt("SELECT count(*) FROM records"));
  return report;
}

absl::StatusOr<BackupReport> CopyAndCheck(const std::string& store_path,
                                          const std::string& copy, const std::string& owner) {
  {
    CW_ASSIGN_OR_RETURN(const auto store, SqliteConnection::Open(store_path));
    CW_RETURN_IF_ERROR(CheckOwner(*store, owner));
    CW_RETURN_IF_ERROR(MakeEmptyFile(copy));
    const std::string quoted = absl::StrReplaceAll(copy, {{"'", "''"}});
    CW_RETURN_IF_ERROR(store->Execute(absl::StrCat("VACUUM INTO '", quoted, "'")));
  }
  BackupReport report;
  {
    CW_ASSIGN_OR_RETURN(const auto connection, SqliteConnection::Open(copy));
    CW_ASSIGN_OR_RETURN(report, CheckCopy(*connection, owner));
  }
  CW_RETURN_IF_ERROR(SyncFile(copy));
  return report;
}

// The last revision of the store that is replaced; 0 if there is none that can be read.
int64_t LastRevision(const std::string& store_path) {
  if (!HasContent(store_path)) return 0;
  const auto connection = SqliteConnection::Open(store_path);
  if (!connection.ok()) return 0;
  const auto meta = ReadMeta(**connection);
  return meta.ok() ? meta->revision : 0;
}

// See RestoreStore(): its changes are not those of the revisions that others know.
absl::Status StartNewRevisions(SqliteConnection& connection, int64_t after, absl::Time now) {
  const int64_t revision = std::max(absl::ToUnixSeconds(now) << 15, after + 1);
  return connection.Execute(
      absl::StrCat("BEGIN IMMEDIATE; DELETE FROM changes; UPDATE meta "
                   "SET revision = ",
                   revision, ", compacted = ", revision, "; COMMIT"));
}

absl::StatusOr<BackupReport> PrepareCopy(const std::string& copy, const std::string& store_path,
                                         const RestoreOptions& options) {
  BackupReport report;
  {
    CW_ASSIGN_OR_RETURN(const auto connection, SqliteConnection::Open(copy));
    CW_ASSIGN_OR_RETURN(report, CheckCopy(*connection, options.owner));
    // The copy is renamed: it must be one file only.
    CW_RETURN_IF_ERROR(connection->ReadText("PRAGMA journal_mode = DELETE").status());
    CW_RETURN_IF_ERROR(StartNewRevisions(
        *connection, std::max(report.revision, LastRevision(store_path)), options.now));
    CW_ASSIGN_OR_RETURN(const StoreMeta meta, ReadMeta(*connection));
    report.revision = meta.revision;
  }
  CW_RETURN_IF_ERROR(SyncFile(copy));
  return report;
}

// SQLite would apply the log of the old file to the new one.
absl::Status RemoveLogs(const std::string& store_path) {
  for (const char* suffix : {"-wal", "-shm", "-journal"}) {
    const std::string log = absl::StrCat(store_path, suffix);
    if (unlink(log.c_str()) != 0 && errno != ENOENT) {
      return FileError(log, "cannot be removed", errno);
    }
  }
  return SyncFolderOf(store_path);
}

absl::Status CheckNothingThere(const std::string& store_path) {
  if (!HasContent(store_path) && !HasContent(absl::StrCat(store_path, "-wal"))) {
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(absl::StrCat(
      store_path,
      ": there is a store already; move it and its -wal and -shm files away, or say "
      "--replace_store to put the backup in its place"));
}

}  // namespace

absl::StatusOr<BackupReport> BackUpStore(const std::string& store_path,
                                         const std::string& backup_path,
                                         const std::string& owner) {
  if (!HasContent(store_path)) {
    return absl::NotFoundError(absl::StrCat(store_path, ": there is no store"));
  }
  const std::string copy = absl::StrCat(backup_path, ".new");
  const auto remove = absl::MakeCleanup([&copy] { unlink(copy.c_str()); });
  CW_ASSIGN_OR_RETURN(const BackupReport report, CopyAndCheck(store_path, copy, owner));
  CW_RETURN_IF_ERROR(PutInPlace(copy, backup_path, false));
  return report;
}

absl::StatusOr<BackupReport> RestoreStore(const std::string& backup_path,
                                          const std::string& store_path,
                                          const RestoreOptions& options) {
  CW_ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, FileLock::Take(store_path));
  if (!options.replace) CW_RETURN_IF_ERROR(CheckNothingThere(store_path));
  const std::string copy = absl::StrCat(store_path, ".restore");
  const auto remove = absl::MakeCleanup([&copy] { unlink(copy.c_str()); });
  CW_RETURN_IF_ERROR(CopyFile(backup_path, copy));
  CW_ASSIGN_OR_RETURN(const BackupReport report, PrepareCopy(copy, store_path, options));
  CW_RETURN_IF_ERROR(RemoveLogs(store_path));
  CW_RETURN_IF_ERROR(PutInPlace(copy, store_path, true));
  CW_RETURN_IF_ERROR(lock->NoteStoreMade());
  return report;
}

}  // namespace certwright::store
