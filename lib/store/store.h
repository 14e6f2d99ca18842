// Store: the small key-value interface in which a service keeps its resources. SQLite
// implements it on one machine (sqlite_store.h), etcd for several replicas.
//
// Revisions: every successful Commit() gets the next revision of the whole store, and all
// its mutations share it. A record carries the revision that created it and the one that
// changed it last; a compare-and-swap names the latter. Old revisions can be listed and
// watched until they are compacted.
//
// Threading: all methods are safe from any thread. A Commit() that has returned is on disk
// and seen by every later read.
// Lifetime: pending calls and watch handles must end before the store is destroyed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"

namespace certwright::store {

// What every backend accepts; more is INVALID_ARGUMENT.
inline constexpr std::size_t kMaxMutations = 128;
inline constexpr std::size_t kMaxKeyBytes = 1024;
inline constexpr std::size_t kMaxValueBytes = 1024 * 1024;
// What a user may store as one value. A service may add to it what it finds out.
inline constexpr std::size_t kMaxUserValueBytes = 128 * 1024;
// A list with a limit ends with the record that makes it so large: what is read at once holds
// nobody else up.
inline constexpr std::size_t kMaxListBytes = 64 * 1024;

struct Record {
  std::string key;
  std::string value;
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
};

// What a record counts in bounds of bytes.
inline std::size_t SizeOf(const Record& record) {
  return record.key.size() + record.value.size();
}

struct Event {
  enum Type { kPut, kDelete };
  Type type = kPut;
  Record record;         // for kDelete, what was there before
  int64_t revision = 0;  // of the change; for kPut also record.mod_revision
  bool created = false;  // for kPut: there was no such key before
};

// On whose behalf something is written. What a user asks for must keep to kMaxUserValueBytes
// and to the store's quotas (quota.h). What a service writes for itself counts towards the
// quotas but is never refused for them, so that nothing that was begun is left half-done.
enum class Writer { kService, kUser };

struct Mutation {
  // `expected_revision`: nothing = whatever is there; 0 = the key must be absent; else the
  // record's mod_revision must be this one.
  static Mutation Put(std::string key, std::string value,
                      std::optional<int64_t> expected_revision = std::nullopt) {
    return {std::move(key), std::move(value), expected_revision};
  }
  static Mutation Delete(std::string key,
                         std::optional<int64_t> expected_revision = std::nullopt) {
    return {std::move(key), std::nullopt, expected_revision};
  }

  std::string key;
  std::optional<std::string> value;  // nothing = delete
  std::optional<int64_t> expected_revision;
  Writer writer = Writer::kService;
};

struct ListRequest {
  std::string prefix = {};       // empty = everything
  int64_t limit = 0;             // 0 = no limit, neither of records nor of bytes
  std::string start_after = {};  // only keys greater than this
  int64_t at_revision = 0;       // 0 = now
};

struct ListResult {
  std::vector<Record> records;  // in the order of their keys (bytes)
  int64_t revision = 0;         // that the records are of
  bool more = false;            // a limit cut it short
};

// One call to a watcher. Exactly one of three things:
// - `events` is not empty: changes, in order; all of one revision come in one call;
// - `events` is empty and `end` is OK: a bookmark. One comes when the watch has caught up
//   with what was there at its start, others whenever the backend likes;
// - `end` is not OK: the last call. OUT_OF_RANGE: the revision to start from is compacted,
//   or is of the future (a restored backup): list again. UNAVAILABLE: watch again.
struct WatchUpdate {
  std::vector<Event> events;
  int64_t revision = 0;  // everything up to this revision has been delivered
  absl::Status end;
};

// Called serially per watch, from a thread of the store, for which it must be quick, or on the
// executor that was given for it; it does not block.
using WatchCallback = std::function<void(WatchUpdate)>;

// Its destruction ends the watch: once the destructor has returned, the callback neither
// runs nor will. It waits for a call that is running on another thread, so do not hold a
// lock that the callback takes. It may be destroyed from within the callback.
class WatchHandle {
 public:
  virtual ~WatchHandle() = default;
  // Everything up to this revision has been delivered; what a bookmark would say now.
  virtual int64_t progress() const = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // NOT_FOUND if absent.
  virtual runtime::Awaitable<absl::StatusOr<Record>> Get(runtime::Context context,
                                                         std::string key) = 0;

  // OUT_OF_RANGE if `at_revision` is compacted or of the future.
  virtual runtime::Awaitable<absl::StatusOr<ListResult>> List(runtime::Context context,
                                                              ListRequest request) = 0;

  // Applies all mutations, or none, and returns the revision they got. A key may occur
  // once. Errors, each naming the key: ABORTED if another revision was expected,
  // ALREADY_EXISTS if absence was, NOT_FOUND if there is nothing to delete;
  // RESOURCE_EXHAUSTED if a user would exceed a quota. UNAVAILABLE and RESOURCE_EXHAUSTED:
  // storage failed, nothing is changed, and it may be tried again.
  virtual runtime::Awaitable<absl::StatusOr<int64_t>> Commit(
      runtime::Context context, std::vector<Mutation> mutations) = 0;

  // Delivers, without gap or repetition, every change after `from_revision` to keys that
  // begin with `prefix`. The callback is not called from within Watch().
  //
  // With an `executor` it runs there, a small part at a time, so that a watcher with much to do
  // for each change keeps no other waiting. The executor must outlive the watch.
  virtual std::unique_ptr<WatchHandle> Watch(std::string prefix, int64_t from_revision,
                                             WatchCallback callback,
                                             runtime::Executor executor) = 0;
  std::unique_ptr<WatchHandle> Watch(std::string prefix, int64_t from_revision,
                                     WatchCallback callback) {
    return Watch(std::move(prefix), from_revision, std::move(callback), {});
  }

  virtual runtime::Awaitable<absl::StatusOr<int64_t>> CurrentRevision(
      runtime::Context context) = 0;

  // Forgets what was before `before_revision`: lists at and watches from earlier revisions
  // become OUT_OF_RANGE. Records are not touched.
  virtual runtime::Awaitable<absl::Status> Compact(runtime::Context context,
                                                   int64_t before_revision) = 0;

  // Leaves nothing on disk of values that have been replaced or deleted, also not in free
  // space: compacts to the present revision and rewrites the file. It takes time and no other
  // commit is made meanwhile. UNAVAILABLE, RESOURCE_EXHAUSTED: it may be tried again.
  virtual runtime::Awaitable<absl::Status> Scrub(runtime::Context context) = 0;

  // Commit() of one mutation.
  runtime::Awaitable<absl::StatusOr<int64_t>> Put(
      runtime::Context context, std::string key, std::string value,
      std::optional<int64_t> expected_revision = std::nullopt);
  runtime::Awaitable<absl::StatusOr<int64_t>> Delete(
      runtime::Context context, std::string key,
      std::optional<int64_t> expected_revision = std::nullopt);
};

// The checks that every backend makes of a Commit() before it starts.
absl::Status ValidateMutations(const std::vector<Mutation>& mutations);

// The least key that is greater than every key with this prefix; nothing if there is none.
std::optional<std::string> PrefixEnd(std::string prefix);

}  // namespace certwright::store
