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
// changed; the next one tries again, so the store recovers when the disk does.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/store/store.h"

namespace certwright::store {

struct SqliteOptions {
  // Changes are kept for watches and lists at a revision: those of the newest
  // `keep_revisions` revisions, unless they are older than `keep_age`.
  int64_t keep_revisions = 100'000;
  absl::Duration keep_age = absl::Hours(1);
  // At most so many commits share one transaction.
  int max_group = 512;
  // Upper bound of the database file's size in pages of 4 KiB; 0 = none.
  int64_t max_pages = 0;
  // Read the whole file at opening and refuse it if its structure is damaged.
  bool check_integrity = true;
  // Tells when a change was made. Must outlive the store.
  const base::Clock* clock = &base::Clock::Real();
};

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
// another program; DATA_LOSS if it is damaged, in which case it is left as it is.
absl::StatusOr<std::unique_ptr<SqliteStore>> OpenSqliteStore(const std::string& path,
                                                             const SqliteOptions& options);

}  // namespace certwright::store
