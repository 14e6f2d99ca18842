// The file of a SQLite store: its lock, its checks at opening, its tables.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/store/sqlite_connection.h"
#include "lib/store/sqlite_store.h"

namespace certwright::store {

// Keeps other processes (and stores of this one) from opening the same file: a lock on
// "<path>.lock", which the kernel releases when this is destroyed or the process dies.
class FileLock {
 public:
  static absl::StatusOr<std::unique_ptr<FileLock>> Take(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  const int descriptor_;
};

// The writer's connection to `path`, which is created if absent and checked if not. The
// caller holds the lock.
absl::StatusOr<std::unique_ptr<SqliteConnection>> OpenDatabase(const std::string& path,
                                                               const SqliteOptions& options);

// A further connection, for reading only.
absl::StatusOr<std::unique_ptr<SqliteConnection>> OpenReader(const std::string& path);

}  // namespace certwright::store
