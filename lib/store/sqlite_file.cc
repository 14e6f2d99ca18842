#include "lib/store/sqlite_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/store/new_file.h"

namespace certwright::store {
namespace {

constexpr int64_t kApplicationId = 0x43575354;  // "CWST"
constexpr int64_t kSchemaVersion = 1;

// `changes` is an undo log: each row holds what its key had before, so a value is written
// once, not twice, and past states can be rebuilt. Its id is the revision times 65536 plus
// the position in the commit.
constexpr char kSchema[] = R"sql(
  CREATE TABLE meta(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    compacted INTEGER NOT NULL);
  INSERT INTO meta VALUES (1, 0, 0);
  CREATE TABLE records(
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    value BLOB NOT NULL,
    create_revision INTEGER NOT NULL,
    mod_revision INTEGER NOT NULL);
  CREATE TABLE changes(
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    deleted INTEGER NOT NULL,
    time INTEGER NOT NULL,
    previous_value BLOB,
    previous_create_revision INTEGER,
    previous_mod_revision INTEGER);
  CREATE INDEX changes_by_key ON changes(key, id);
)sql";

absl::Status Damaged(const std::string& path, absl::string_view detail) {
  return absl::DataLossError(absl::StrCat(
      path, ": the store is damaged and has been left as it is (", detail,
      "); move it and the files with its name and -wal and -shm away, then restore a backup "
      "in its place, or start with an empty store"));
}

// A file that others cannot read exists at `path` afterwards.
absl::Status CreateFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return FileError(path, "cannot be opened for writing", errno);
  const auto close_file = absl::MakeCleanup([file] { close(file); });
  if (fchmod(file, 0600) != 0) return FileError(path, "its mode cannot be set", errno);
  // The new name must be on disk before the first commit is.
  return SyncFolderOf(path);
}

// SQLite would take an empty file for a new database and delete its log.
absl::Status CheckNotEmptied(const std::string& path) {
  struct stat file;
  if (stat(path.c_str(), &file) == 0 && file.st_size > 0) return absl::OkStatus();
  struct stat log;
  if (stat(absl::StrCat(path, "-wal").c_str(), &log) == 0 && log.st_size > 0) {
    return Damaged(path, "it is missing or empty, but its -wal file is not");
  }
  return absl::OkStatus();
}

absl::Status CheckIdentity(SqliteConnection& connection, bool& is_new) {
  CW_ASSIGN_OR_RETURN(const int64_t application, connection.ReadInt("PRAGMA application_id"));
  CW_ASSIGN_OR_RETURN(const int64_t version, connection.ReadInt("PRAGMA user_version"));
  CW_ASSIGN_OR_RETURN(const int64_t tables,
                      connection.ReadInt("SELECT count(*) FROM sqlite_master"));
  is_new = application == 0 && version == 0 && tables == 0;
  if (is_new) return absl::OkStatus();
  if (application != kApplicationId) {
    return absl::FailedPreconditionError(
        absl::StrCat(connection.path(),
                     ": this is the SQLite file of another program; give "
                     "the store a file of its own"));
  }
  if (version != kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        connection.path(), ": the store has format ", version, ", this program knows format ",
        kSchemaVersion, "; run the version of the program that wrote it, or a newer one"));
  }
  return absl::OkStatus();
}

absl::Status CheckIntegrity(SqliteConnection& connection) {
  CW_ASSIGN_OR_RETURN(const std::string finding, connection.ReadText("PRAGMA quick_check(1)"));
  if (finding != "ok") return absl::DataLossError(finding);
  CW_ASSIGN_OR_RETURN(const int64_t rows, connection.ReadInt("SELECT count(*) FROM meta"));
  if (rows != 1) return absl::DataLossError("its revision is missing");
  return absl::OkStatus();
}

absl::Status Configure(SqliteConnection& connection, const SqliteOptions& options) {
  CW_ASSIGN_OR_RETURN(const std::string mode, connection.ReadText("PRAGMA journal_mode = WAL"));
  if (mode != "wal") {
    return absl::FailedPreconditionError(
        absl::StrCat(connection.path(),
                     ": SQLite cannot use a write-ahead log there; put the "
                     "store on a local disk"));
  }
  CW_RETURN_IF_ERROR(connection.Execute(
      "PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;"
      "PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864"));
  if (options.max_pages > 0) {
    CW_RETURN_IF_ERROR(
        connection.Execute(absl::StrCat("PRAGMA max_page_count = ", options.max_pages)));
  }
  return absl::OkStatus();
}

absl::Status CreateSchema(SqliteConnection& connection) {
  const absl::Status status = connection.Execute(
      absl::StrCat("BEGIN IMMEDIATE;", kSchema, "PRAGMA application_id = ", kApplicationId,
                   "; PRAGMA user_version = ", kSchemaVersion, "; COMMIT"));
  if (!status.ok()) connection.Rollback();
  return status;
}

absl::Status Prepare(SqliteConnection& connection, const SqliteOptions& options) {
  bool is_new = false;
  CW_RETURN_IF_ERROR(CheckIdentity(connection, is_new));
  if (!is_new && options.check_integrity) CW_RETURN_IF_ERROR(CheckIntegrity(connection));
  CW_RETURN_IF_ERROR(Configure(connection, options));
  return is_new ? CreateSchema(connection) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Take(const std::string& path) {
  const std::string lock_path = absl::StrCat(path, ".lock");
  const int file = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return FileError(lock_path, "cannot be opened for writing", errno);
  std::unique_ptr<FileLock> lock(new FileLock(file));
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return FileError(lock_path, "cannot be locked", errno);
    char holder[16] = "";
    const ssize_t size = pread(file, holder, sizeof(holder), 0);
    const absl::string_view text(holder, size > 0 ? static_cast<std::size_t>(size) : 0);
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": the store is open in another process (",
                     absl::StripTrailingAsciiWhitespace(text),
                     " by its lock file); stop that one, or give this one a file of its own"));
  }
  // For the message above only; the lock holds without it.
  const std::string holder = absl::StrCat("pid ", getpid(), "\n");
  if (ftruncate(file, 0) != 0 ||
      pwrite(file, holder.data(), holder.size(), 0) != static_cast<ssize_t>(holder.size())) {
    return FileError(lock_path, "cannot be written", errno);
  }
  return lock;
}

FileLock::~FileLock() { close(descriptor_); }

absl::StatusOr<std::unique_ptr<SqliteConnection>> OpenDatabase(const std::string& path,
                                                               const SqliteOptions& options) {
  CW_RETURN_IF_ERROR(CheckNotEmptied(path));
  CW_RETURN_IF_ERROR(CreateFile(path));
  CW_ASSIGN_OR_RETURN(std::unique_ptr<SqliteConnection> connection,
                      SqliteConnection::Open(path));
  const absl::Status status = Prepare(*connection, options);
  if (absl::IsDataLoss(status)) return Damaged(path, status.message());
  CW_RETURN_IF_ERROR(status);
  return connection;
}

absl::StatusOr<std::unique_ptr<SqliteConnection>> OpenReader(const std::string& path) {
  CW_ASSIGN_OR_RETURN(std::unique_ptr<SqliteConnection> connection,
                      SqliteConnection::Open(path));
  CW_RETURN_IF_ERROR(
      connection->Execute("PRAGMA query_only = 1; PRAGMA cache_size = -4096;"
                          "PRAGMA temp_store = MEMORY"));
  return connection;
}

}  // namespace certwright::store
