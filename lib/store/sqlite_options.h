// How a SQLite store is opened.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/store/quota.h"
#include "lib/store/storage_health.h"

namespace certwright::store {

struct SqliteOptions {
  // Changes are kept for watches and lists at a revision: those of the newest
  // `keep_revisions` revisions, unless they are older than `keep_age`.
  int64_t keep_revisions = 100'000;
  absl::Duration keep_age = absl::Hours(1);
  // Upper bound of what they take. A commit that comes when there are more drops old ones.
  int64_t keep_bytes = 64 * 1024 * 1024;
  // What users may store.
  Quotas quotas = {};
  // At most so many commits share one transaction.
  int max_group = 512;
  // Upper bound of the database file's size in pages of 4 KiB; 0 = none.
  int64_t max_pages = 0;
  // Read the whole file at opening and refuse it if its structure is damaged.
  bool check_integrity = true;
  // Whose store it is, as "certwright-issuer": kept in a new file, and a file of another owner
  // is refused. Empty: anybody's.
  std::string owner = {};
  // A file that exists only where a store was made: a store that is missing beside it is not
  // made anew. (So it is anyway where "<path>.lock" says that it was made.) Empty: none.
  std::string witness = {};
  // Is told whether the store can be written, if not null. Must outlive the store.
  StorageHealth* health = nullptr;
  // Bytes that are free where the store is. Null: asked of the system.
  std::function<int64_t()> free_bytes = nullptr;
  // Tells when a change was made. Must outlive the store.
  const base::Clock* clock = &base::Clock::Real();
};

}  // namespace certwright::store
