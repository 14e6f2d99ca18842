// The file of a SQLite store: its lock, its checks at opening, its tables.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/store/sqlite_connection.h"
#include "lib/store/sqlite_options.h"

namespace certwright::store {

// Keeps other processes (and stores of this one) from opening the same file: a lock on
// "<path>.lock", which the kernel releases when this is destroyed or the process dies.
//
// The lock file also says whether a store was made there, so that one that has vanished, with a
// disk that is not mounted or by mistake, is not taken for one that never was.
class FileLock {
 public:
  static absl::StatusOr<std::unique_ptr<FileLock>> Take(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  const std::string& path() const { return path_; }
  bool store_made() const { return store_made_; }
  // On disk when this returns.
  absl::Status NoteStoreMade();

 private:
  FileLock(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}
  absl::Status Write();

  const std::string path_;
  const int descriptor_;
  bool store_made_ = false;
};

// The writer's connection to `path`, which is created if absent and checked if not. The
// caller holds `lock`.
absl::StatusOr<std::unique_ptr<SqliteConnection>> OpenDatabase(const std::string& path,
                                                               const SqliteOptions& options,
                                                               FileLock& lock);

// Whether the database is a store of this `owner` (SqliteOptions), of a known version.
absl::Status CheckOwner(SqliteConnection& connection, const std::string& owner);

// A further connection, for reading only.
absl::StatusOr<std::unique_ptr<SqliteConnection>> OpenReader(const std::string& path);

}  // namespace certwright::store
