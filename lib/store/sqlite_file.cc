#include "lib/store/sqlite_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/base/new_file.h"
#include "lib/base/status_macros.h"
#include "lib/store/sqlite_queries.h"

namespace certwright::store {
namespace {

using base::FileError;
using base::SyncFolderOf;

constexpr int64_t kApplicationId = 0x43575354;  // "CWST"
// 1: without owner and checksums, of versions that did not seal.
constexpr int64_t kSchemaVersion = 2;
// Pages of 4 KiB.
constexpr int64_t kFreePagesToShrink = 16 * 1024;

// `changes` is an undo log: each row holds what its key had before, so a value is written
// once, not twice, and past states can be rebuilt. A checksum is that of ChecksumOf(), or NULL
// if a version without checksums wrote the value. Its id is the revision times 65536 plus
// the position in the commit.
constexpr char kSchema[] = R"sql(
  CREATE TABLE meta(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    compacted INTEGER NOT NULL,
    owner TEXT NOT NULL DEFAULT '');
  INSERT INTO meta VALUES (1, 0, 0, '');
  CREATE TABLE records(
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    value BLOB NOT NULL,
    create_revision INTEGER NOT NULL,
    mod_revision INTEGER NOT NULL,
    checksum INTEGER);
  CREATE TABLE changes(
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    deleted INTEGER NOT NULL,
    time INTEGER NOT NULL,
    previous_value BLOB,
    previous_create_revision INTEGER,
    previous_mod_revision INTEGER,
    previous_checksum INTEGER);
  CREATE INDEX changes_by_key ON changes(key, id);
)sql";

absl::Status Damaged(const std::string& path, absl::string_view detail) {
  return absl::DataLossError(absl::StrCat(
      path, ": the store is damaged and has been left as it is (", detail,
      "); move it and the files with its name and -wal and -shm away, then restore a backup "
      "in its place with --restore, or remove ",
      path, ".lock as well to start with an empty store"));
}

absl::Status Vanished(const std::string& path, absl::string_view what,
                      absl::string_view witness) {
  return absl::FailedPreconditionError(absl::StrCat(
      path, ": the store ", what, ", but ", witness,
      " shows that there was one; check that its disk is mounted, or restore a backup with "
      "--restore, or move ",
      witness, " away to start with an empty store"));
}

// In a lock file, after its first line.
constexpr char kStoreMade[] = "a store was made\n";

std::string ReadLockFile(int file) {
  std::string text(64, '\0');
  const ssize_t size = pread(file, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

// A file that others cannot read exists at `path` afterwards.
absl::Status CreateFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return FileError(path, "cannot be opened for writing", errno);
  const auto close_file = absl::MakeCleanup([file] { close(file); });
  if (fchmod(file, 0600) != 0) return FileError(path, "its mode cannot be set", errno);
  // The new name must be on disk before the first commit is.
  return SyncFolderOf(path);
}

// What shows that there has been a store; empty if nothing does.
std::string Witness(const FileLock& lock, const SqliteOptions& options) {
  if (lock.store_made()) return lock.path();
  struct stat file {};
  const bool there = !options.witness.empty() && stat(options.witness.c_str(), &file) == 0;
  return there ? options.witness : "";
}

// SQLite would take an empty file for a new database and delete its log.
absl::Status CheckNotEmptied(const std::string& path, const std::string& witness) {
  struct stat file {};
  const bool there = stat(path.c_str(), &file) == 0;
  if (there && file.st_size > 0) return absl::OkStatus();
  struct stat log {};
  if (stat(absl::StrCat(path, "-wal").c_str(), &log) == 0 && log.st_size > 0) {
    return Damaged(path, "it is missing or empty, but its -wal file is not");
  }
  if (witness.empty()) return absl::OkStatus();
  return Vanished(path, there ? "is an empty file" : "is missing", witness);
}

// SQLite reads zeros where the last page of a file is cut short. The file alone does not tell
// while a log beside it holds pages.
absl::Status CheckLength(const std::string& path) {
  struct stat log {};
  if (stat(absl::StrCat(path, "-wal").c_str(), &log) == 0 && log.st_size > 0) {
    return absl::OkStatus();
  }
  std::ifstream file(path, std::ios::binary);
  unsigned char header[32] = {};
  if (!file.read(reinterpret_cast<char*>(header), sizeof(header))) return absl::OkStatus();
  // The file format: at 16 the size of a page, at 28 their number, big-endian.
  const int64_t page =
      header[16] == 0 && header[17] == 1 ? 65536 : header[16] << 8 | header[17];
  const int64_t pages =
      int64_t{header[28]} << 24 | header[29] << 16 | header[30] << 8 | header[31];
  file.seekg(0, std::ios::end);
  if (file.tellg() >= page * pages) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("it has ", static_cast<int64_t>(file.tellg()),
                                          " bytes where it says it has ", page * pages));
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
  if (version < 1 || version > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        connection.path(), ": the store has format ", version, ", this program knows format ",
        kSchemaVersion, "; run the version of the program that wrote it, or a newer one"));
  }
  return absl::OkStatus();
}

// Nothing for a file of version 1, which has no owner.
absl::StatusOr<std::string> ReadOwner(SqliteConnection& connection) {
  CW_ASSIGN_OR_RETURN(const int64_t version, connection.ReadInt("PRAGMA user_version"));
  if (version < 2) return std::string();
  return connection.ReadText("SELECT owner FROM meta WHERE id = 1");
}

absl::Status CompareOwner(SqliteConnection& connection, const std::string& owner) {
  CW_ASSIGN_OR_RETURN(const std::string found, ReadOwner(connection));
  if (found.empty() || owner.empty() || found == owner) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(connection.path(), ": this is a store of ",
                                                    found, ", not of ", owner,
                                                    "; give each service a file of its own"));
}

absl::Status UpdateSchema(SqliteConnection& connection, const std::string& owner) {
  CW_ASSIGN_OR_RETURN(const int64_t version, connection.ReadInt("PRAGMA user_version"));
  CW_ASSIGN_OR_RETURN(const std::string found, ReadOwner(connection));
  if (version == kSchemaVersion && (owner.empty() || found == owner)) return absl::OkStatus();
  const char* add_columns = version < 2
                                ? "ALTER TABLE meta ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
                                  "ALTER TABLE records ADD COLUMN checksum INTEGER;"
                                  "ALTER TABLE changes ADD COLUMN previous_checksum INTEGER;"
                                : "";
  absl::Status status = connection.Execute(
      absl::StrCat("BEGIN IMMEDIATE;", add_columns, "UPDATE meta SET owner = '", owner,
                   "'; PRAGMA user_version = ", kSchemaVersion, "; COMMIT"));
  if (!status.ok()) connection.Rollback();
  return status;
}

absl::Status CheckIntegrity(SqliteConnection& connection) {
  CW_ASSIGN_OR_RETURN(const std::string finding, connection.ReadText("PRAGMA quick_check(1)"));
  if (finding != "ok") return absl::DataLossError(finding);
  CW_ASSIGN_OR_RETURN(const int64_t rows, connection.ReadInt("SELECT count(*) FROM meta"));
  if (rows != 1) return absl::DataLossError("its revision is missing");
  CW_ASSIGN_OR_RETURN(const int64_t version, connection.ReadInt("PRAGMA user_version"));
  return version < 2 ? absl::OkStatus() : CheckRecords(connection);
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
  absl::Status status = connection.Execute(
      absl::StrCat("BEGIN IMMEDIATE;", kSchema, "PRAGMA application_id = ", kApplicationId,
                   "; PRAGMA user_version = ", kSchemaVersion, "; COMMIT"));
  if (!status.ok()) connection.Rollback();
  return status;
}

// Gives the disk back what an old log of changes has left free. Without room for the copy that
// this takes, the file stays as it is.
absl::Status ShrinkIfMostlyFree(SqliteConnection& connection) {
  CW_ASSIGN_OR_RETURN(const int64_t pages, connection.ReadInt("PRAGMA page_count"));
  CW_ASSIGN_OR_RETURN(const int64_t free, connection.ReadInt("PRAGMA freelist_count"));
  if (free < kFreePagesToShrink || 2 * free < pages) return absl::OkStatus();
  const absl::Status status = connection.Execute("VACUUM");
  return absl::IsResourceExhausted(status) ? absl::OkStatus() : status;
}

absl::Status Prepare(SqliteConnection& connection, const SqliteOptions& options,
                     const std::string& witness) {
  bool is_new = false;
  CW_RETURN_IF_ERROR(CheckIdentity(connection, is_new));
  if (is_new && !witness.empty()) {
    return Vanished(connection.path(), "has no content", witness);
  }
  if (!is_new) CW_RETURN_IF_ERROR(CompareOwner(connection, options.owner));
  if (!is_new && options.check_integrity) CW_RETURN_IF_ERROR(CheckIntegrity(connection));
  CW_RETURN_IF_ERROR(Configure(connection, options));
  if (is_new) CW_RETURN_IF_ERROR(CreateSchema(connection));
  CW_RETURN_IF_ERROR(UpdateSchema(connection, options.owner));
  return ShrinkIfMostlyFree(connection);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Take(const std::string& path) {
  const std::string lock_path = absl::StrCat(path, ".lock");
  const int file = open(lock_path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return FileError(lock_path, "cannot be opened for writing", errno);
  std::unique_ptr<FileLock> lock(new FileLock(lock_path, file));
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return FileError(lock_path, "cannot be locked", errno);
    const std::string text = ReadLockFile(file);
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": the store is open in another process (",
                     absl::StripTrailingAsciiWhitespace(text.substr(0, text.find('\n'))),
                     " by its lock file); stop that one, or give this one a file of its own"));
  }
  lock->store_made_ = absl::StrContains(ReadLockFile(file), kStoreMade);
  CW_RETURN_IF_ERROR(lock->Write());
  return lock;
}

FileLock::~FileLock() { close(descriptor_); }

absl::Status FileLock::NoteStoreMade() {
  if (store_made_) return absl::OkStatus();
  store_made_ = true;
  CW_RETURN_IF_ERROR(Write());
  if (fsync(descriptor_) != 0) return FileError(path_, "cannot be synced to disk", errno);
  return SyncFolderOf(path_);
}

absl::Status FileLock::Write() {
  // In one write, and as long for every process, so that the note is never lost.
  const std::string content =
      absl::StrFormat("pid %-10d\n%s", getpid(), store_made_ ? kStoreMade : "");
  if (pwrite(descriptor_, content.data(), content.size(), 0) ==
      static_cast<ssize_t>(content.size())) {
    return absl::OkStatus();
  }
  return FileError(path_, "cannot be written", errno);
}

absl::StatusOr<std::unique_ptr<SqliteConnection>> OpenDatabase(const std::string& path,
                                                               const SqliteOptions& options,
                                                               FileLock& lock) {
  const std::string witness = Witness(lock, options);
  CW_RETURN_IF_ERROR(CheckNotEmptied(path, witness));
  if (const absl::Status whole = CheckLength(path); !whole.ok()) {
    return Damaged(path, whole.message());
  }
  CW_RETURN_IF_ERROR(CreateFile(path));
  CW_ASSIGN_OR_RETURN(std::unique_ptr<SqliteConnection> connection,
                      SqliteConnection::Open(path));
  const absl::Status status = Prepare(*connection, options, witness);
  if (absl::IsDataLoss(status)) return Damaged(path, status.message());
  CW_RETURN_IF_ERROR(status);
  CW_RETURN_IF_ERROR(lock.NoteStoreMade());
  return connection;
}

absl::Status CheckOwner(SqliteConnection& connection, const std::string& owner) {
  bool is_new = false;
  CW_RETURN_IF_ERROR(CheckIdentity(connection, is_new));
  if (is_new) {
    return absl::DataLossError(absl::StrCat(connection.path(), ": it is empty, not a store"));
  }
  return CompareOwner(connection, owner);
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
