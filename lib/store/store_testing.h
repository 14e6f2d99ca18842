// For tests of and over a Store: its calls, waited for, and a record of what a watch says.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/mutex.h"
#include "lib/runtime/run_sync.h"
#include "lib/store/store.h"

namespace certwright::store {

// No test comes near it: it only turns a hang into a failure.
inline runtime::Context TestContext() {
  return runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(60));
}

template <typename T>
T Await(runtime::Awaitable<T> task) {
  return runtime::RunSync<T>(std::move(task));
}

inline absl::StatusOr<int64_t> Put(Store& store, std::string key, std::string value,
                                   std::optional<int64_t> expected = std::nullopt) {
  return Await(store.Put(TestContext(), std::move(key), std::move(value), expected));
}
inline absl::StatusOr<int64_t> Delete(Store& store, std::string key,
                                      std::optional<int64_t> expected = std::nullopt) {
  return Await(store.Delete(TestContext(), std::move(key), expected));
}
inline absl::StatusOr<int64_t> Commit(Store& store, std::vector<Mutation> mutations) {
  return Await(store.Commit(TestContext(), std::move(mutations)));
}
inline absl::StatusOr<Record> Get(Store& store, std::string key) {
  return Await(store.Get(TestContext(), std::move(key)));
}
inline absl::StatusOr<ListResult> List(Store& store, ListRequest request) {
  return Await(store.List(TestContext(), std::move(request)));
}
// The value, or the status in words.
inline std::string ValueOf(Store& store, std::string key) {
  const auto record = Get(store, std::move(key));
  return record.ok() ? record->value : absl::StatusCodeToString(record.status().code());
}
// "key=value" of each record.
inline std::vector<std::string> Contents(const std::vector<Record>& records) {
  std::vector<std::string> contents;
  for (const Record& record : records) {
    contents.push_back(absl::StrCat(record.key, "=", record.value));
  }
  return contents;
}

// Keeps what a watch delivers, as text: "+k=v" created, "~k=v" changed, "-k=v" deleted (with
// the last value), "bookmark", "end <code>".
class WatchLog {
 public:
  WatchCallback Callback() {
    return [this](WatchUpdate update) {
      base::MutexLock lock(mutex_);
      for (const Event& event : update.events) {
        const char* sign = event.type == Event::kDelete ? "-" : event.created ? "+" : "~";
        lines_.push_back(absl::StrCat(sign, event.record.key, "=", event.record.value));
        revisions_.push_back(event.revision);
      }
      if (!update.end.ok()) {
        lines_.push_back(absl::StrCat("end ", absl::StatusCodeToString(update.end.code())));
      } else if (update.events.empty()) {
        lines_.push_back("bookmark");
      }
      changed_.notify_all();
    };
  }

  // Waits until `count` lines are there, and returns all.
  std::vector<std::string> WaitFor(std::size_t count) {
    base::MutexLock lock(mutex_);
    changed_.wait_for(mutex_, std::chrono::seconds(60),
                      [&]() CW_REQUIRES(mutex_) { return lines_.size() >= count; });
    return lines_;
  }
  std::vector<int64_t> revisions() {
    base::MutexLock lock(mutex_);
    return revisions_;
  }

 private:
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::string> lines_ CW_GUARDED_BY(mutex_);
  std::vector<int64_t> revisions_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::store
