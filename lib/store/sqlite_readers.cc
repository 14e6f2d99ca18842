#include "lib/store/sqlite_readers.h"

#include <cstddef>

#include "lib/base/status_macros.h"
#include "lib/store/sqlite_file.h"

namespace certwright::store {
namespace {

// Threads that read at the same time are as many as the process has cores, and a few.
constexpr std::size_t kMaxIdle = 16;

}  // namespace

absl::StatusOr<SqliteReaders::Lease> SqliteReaders::Take() {
  {
    base::MutexLock lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<SqliteConnection> connection = std::move(idle_.back());
      idle_.pop_back();
      return Lease(this, std::move(connection));
    }
  }
  CW_ASSIGN_OR_RETURN(std::unique_ptr<SqliteConnection> connection, OpenReader(path_));
  return Lease(this, std::move(connection));
}

void SqliteReaders::Return(std::unique_ptr<SqliteConnection> connection) {
  base::MutexLock lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(connection));
}

}  // namespace certwright::store
