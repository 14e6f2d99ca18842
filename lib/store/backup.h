// Backup and restore of a SQLite store, each from a process of its own.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"

namespace certwright::store {

struct BackupReport {
  int64_t records = 0;
  int64_t revision = 0;
};

// Copies the store at `store_path`, which may be in use, to the new file `backup_path` as it is
// at one moment. The copy has mode 0600, has been checked as a whole and is on disk when this
// returns; on error there is none. `owner` as in SqliteOptions. Values that are sealed stay so.
// ALREADY_EXISTS if there is such a file; FAILED_PRECONDITION for the store of another service;
// DATA_LOSS if the store is damaged.
absl::StatusOr<BackupReport> BackUpStore(const std::string& store_path,
                                         const std::string& backup_path,
                                         const std::string& owner);

struct RestoreOptions {
  // As in SqliteOptions.
  std::string owner;
  // Put the backup in the place of a store that exists.
  bool replace = false;
  absl::Time now = base::Clock::Real().Now();
};

// Makes a store at `store_path` of a backup, which is only read. The store there, if any, stays
// as it is until the copy has been checked as a whole and is on disk.
//
// The restored store goes on with revisions that no store before it has given out: its first
// is the time in seconds times 2^15, and none commits 2^15 times a second for long. So whoever
// watches from, or expects, a revision of the lost time is told so (OUT_OF_RANGE, ABORTED), and
// lists anew.
//
// ALREADY_EXISTS if there is a store and `replace` is not set; FAILED_PRECONDITION while it is
// open, or if the backup is of another service or a newer version; DATA_LOSS if it is damaged.
absl::StatusOr<BackupReport> RestoreStore(const std::string& backup_path,
                                          const std::string& store_path,
                                          const RestoreOptions& options);

}  // namespace certwright::store
