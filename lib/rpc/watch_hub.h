// WatchHub: all live watches of a server, so that a drain can end them and their memory has a
// bound together.
//
// Threading: safe from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "lib/base/mutex.h"

namespace certwright::rpc {

// A watch as the hub sees it.
class EndableWatch {
 public:
  virtual ~EndableWatch() = default;
  virtual void End(const absl::Status& status) = 0;
};

class WatchHub {
 public:
  // False once EndAll() was called: the watch is then to be refused.
  bool Add(const std::shared_ptr<EndableWatch>& watch);
  void Remove(const EndableWatch* watch);
  // Ends every watch, and every later one, with `status`.
  void EndAll(const absl::Status& status);
  bool ended() const;
  std::size_t size() const;

  // Bytes of events that watchers have yet to take, all together.
  void AddPending(std::size_t bytes) { pending_bytes_ += bytes; }
  void RemovePending(std::size_t bytes) { pending_bytes_ -= bytes; }
  std::size_t pending_bytes() const { return pending_bytes_; }

 private:
  std::atomic<std::size_t> pending_bytes_ = 0;
  mutable base::Mutex mutex_;
  bool ended_ CW_GUARDED_BY(mutex_) = false;
  std::map<const EndableWatch*, std::weak_ptr<EndableWatch>> watches_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::rpc
