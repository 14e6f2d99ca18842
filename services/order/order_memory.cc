#include "services/order/order_memory.h"

namespace certwright::order {

OrderMemory::Waits OrderMemory::waits(const std::string& key) const {
  base::MutexLock lock(mutex_);
  auto it = waits_.find(key);
  return it == waits_.end() ? Waits() : it->second;
}

void OrderMemory::SetWaits(const std::string& key, const Waits& waits) {
  base::MutexLock lock(mutex_);
  waits_[key] = waits;
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
  waits_.erase(key);
  auto it = url_of_key_.find(key);
  if (it == url_of_key_.end()) return;
  key_of_url_.erase(it->second);
  url_of_key_.erase(it);
}

}  // namespace certwright::order
