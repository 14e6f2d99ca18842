// ChallengeMemory: what this process knows about a challenge beyond its record, from one pass
// to the next. All of it may be lost: a restart begins with less and ends the same.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"

namespace certwright::solver {

constexpr base::MonotonicTime kLongAgo{-absl::InfiniteDuration()};

// Only the pass over the challenge uses it, but for `hurry`.
struct ChallengeMemory {
  // The challenge's, so that a later one of its name begins anew.
  std::string uid;

  // On the monotonic clock, so that what is due soon stays so when the wall clock is set.
  std::optional<base::MonotonicTime> slot_since;
  int turns = 0;
  int checks_in_turn = 0;
  bool authorization_known = false;
  bool last_look_taken = false;
  std::optional<base::MonotonicTime> put_out_time;
  std::optional<base::MonotonicTime> found_at;
  base::MonotonicTime due = kLongAgo;
  int polls = 0;
  // When its status was written last.
  base::MonotonicTime written = kLongAgo;
  // Its counter may be ahead of the stored one.
  int checks = 0;

  // Somebody wants it tried at once; set from any thread.
  std::atomic<bool> hurry = false;
};

class ChallengeMemories {
 public:
  // The memory of that challenge; a new one if there is none. `is_new` tells which.
  std::shared_ptr<ChallengeMemory> Get(const std::string& key, const std::string& uid,
                                       bool& is_new) {
    base::MutexLock lock(mutex_);
    std::shared_ptr<ChallengeMemory>& memory = memories_[key];
    is_new = memory == nullptr || memory->uid != uid;
    if (is_new) {
      memory = std::make_shared<ChallengeMemory>();
      memory->uid = uid;
    }
    return memory;
  }
  // The uid it was kept for; empty if there was nothing.
  std::string Forget(const std::string& key) {
    base::MutexLock lock(mutex_);
    auto it = memories_.find(key);
    if (it == memories_.end()) return "";
    std::string uid = it->second->uid;
    memories_.erase(it);
    return uid;
  }
  void Hurry(const std::string& key) {
    base::MutexLock lock(mutex_);
    auto it = memories_.find(key);
    if (it != memories_.end()) it->second->hurry = true;
  }
  std::size_t size() const {
    base::MutexLock lock(mutex_);
    return memories_.size();
  }

 private:
  mutable base::Mutex mutex_;
  std::map<std::string, std::shared_ptr<ChallengeMemory>> memories_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::solver
