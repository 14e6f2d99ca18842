#include "lib/rpc/watch_hub.h"

#include <vector>

namespace certwright::rpc {

bool WatchHub::Add(const std::shared_ptr<EndableWatch>& watch) {
  base::MutexLock lock(mutex_);
  if (ended_) return false;
  watches_.emplace(watch.get(), watch);
  return true;
}

void WatchHub::Remove(const EndableWatch* watch) {
  base::MutexLock lock(mutex_);
  watches_.erase(watch);
}

void WatchHub::EndAll(const absl::Status& status) {
  std::vector<std::shared_ptr<EndableWatch>> watches;
  {
    base::MutexLock lock(mutex_);
    ended_ = true;
    for (const auto& [key, weak] : watches_) {
      if (auto watch = weak.lock()) watches.push_back(std::move(watch));
    }
  }
  for (const auto& watch : watches) watch->End(status);
}

bool WatchHub::ended() const {
  base::MutexLock lock(mutex_);
  return ended_;
}

std::size_t WatchHub::size() const {
  base::MutexLock lock(mutex_);
  return watches_.size();
}

}  // namespace certwright::rpc
