#include "services/order/order_memory.h"

namespace certwright::order {

OrderMemory::Polls OrderMemory::polls(const std::string& key) const {
  base::MutexLock lock(mutex_);
  auto it = polls_.find(key);
  return it == polls_.end() ? Polls() : it->second;
}

void OrderMemory::SetPolls(const std::string& key, const Polls& polls) {
  base::MutexLock lock(mutex_);
  polls_[key] = polls;
}

std::string OrderMemory::ClaimUrl(const std::string& url, const std::string& key) {
  base::MutexLock lock(mutex_);
  auto [owner, claimed] = key_of_url_.emplace(url, key);
  if (!claimed) return owner->second == key ? "" : owner->second;
  url_of_key_[key] = url;
  return "";
}

void OrderMemory::Forget(const std::string& key) {
  base::MutexLock lock(mutex_);
  polls_.erase(key);
  auto it = url_of_key_.find(key);
  if (it == url_of_key_.end()) return;
  key_of_url_.erase(it->second);
  url_of_key_.erase(it);
}

}  // namespace certwright::order
