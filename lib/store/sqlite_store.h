// The SQLite backend of Store: one file, for one process at a time.
//
// Reads run at once on the caller's thread, over connections of their own that see the
// last commit (write-ahead log) and never wait for the writer. One writer thread commits
// all that waits as one transaction and answers after the fsync, so that many writers share
// its cost. Another thread calls the watchers. Old changes are compacted a little with each
// write.
//
// A commit whose context has ended before its turn is not made; one that is being made is
// waited for, so that its outcome is known.
//
// When a write fails (disk full, I/O error) the waiting commits fail and nothing is
// changed; the next one tries again, and so does the store itself every second, so it recovers
// when the disk does (SqliteOptions::health).
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/store/sqlite_options.h"
#include "lib/store/store.h"

namespace certwright::store {

struct SqliteStats {
  int64_t commits = 0;       // that succeeded
  int64_t transactions = 0;  // that it took
};

class SqliteStore : public Store {
 public:
  virtual SqliteStats stats() const = 0;
};

// Opens `path`, or creates it with mode 0600. Errors name the file and what to do:
// FAILED_PRECONDITION if another process has it open, or it is of a newer version or
// another program; if a store that was there is missing or empty; DATA_LOSS if it is
// damaged. It is left as it is then.
absl::StatusOr<std::unique_ptr<SqliteStore>> OpenSqliteStore(const std::string& path,
                                                             const SqliteOptions& options);

}  // namespace certwright::store
