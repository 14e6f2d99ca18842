// TtlCache: remembers values for a bounded time, and a bounded number of them.
//
// Threading: safe from any thread.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"

namespace certwright::dns {

template <typename Key, typename Value>
class TtlCache {
 public:
  // `clock` must outlive this.
  TtlCache(const base::Clock& clock, std::size_t max_entries)
      : clock_(clock), max_entries_(max_entries) {}

  std::optional<Value> Get(const Key& key) const {
    base::MutexLock lock(mutex_);
    auto it = entries_.find(key);
    if (it == entries_.end() || it->second.expires <= clock_.MonotonicNow())
      return std::nullopt;
    return it->second.value;
  }

  // When full it drops what has expired, or else everything: entries are cheap to come by.
  void Put(const Key& key, Value value, absl::Duration ttl) {
    const base::MonotonicTime now = clock_.MonotonicNow();
    base::MutexLock lock(mutex_);
    if (entries_.size() >= max_entries_) {
      std::erase_if(entries_, [now](const auto& entry) { return entry.second.expires <= now; });
      if (entries_.size() >= max_entries_) entries_.clear();
    }
    entries_.insert_or_assign(key, Entry{std::move(value), now + ttl});
  }

  void Erase(const Key& key) {
    base::MutexLock lock(mutex_);
    entries_.erase(key);
  }

 private:
  struct Entry {
    Value value;
    base::MonotonicTime expires;
  };

  const base::Clock& clock_;
  const std::size_t max_entries_;
  mutable base::Mutex mutex_;
  std::map<Key, Entry> entries_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::dns
