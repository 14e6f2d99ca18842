// StorageHealth: whether a store can be written, for those who should not begin anything
// otherwise. The store says so after each write, and while it cannot be written it tries by
// itself whether it can again.
//
// Threading: safe from any thread.
#pragma once

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "lib/base/mutex.h"

namespace certwright::store {

class StorageHealth {
 public:
  // Told when the answer turns from OK to an error or back; must be quick and not call this
  // object.
  using Listener = std::function<void(const absl::Status&)>;

  // OK, or why the last write failed.
  absl::Status status() const {
    base::MutexLock lock(mutex_);
    return status_;
  }

  void Set(absl::Status status) {
    base::MutexLock lock(mutex_);
    const bool changed = status.ok() != status_.ok();
    status_ = std::move(status);
    if (changed && listener_) listener_(status_);
  }

  // Replaces the listener; it is told the present state. Once this has returned the previous
  // one neither runs nor will.
  void Listen(Listener listener) {
    base::MutexLock lock(mutex_);
    listener_ = std::move(listener);
    if (listener_) listener_(status_);
  }

 private:
  mutable base::Mutex mutex_;
  absl::Status status_ CW_GUARDED_BY(mutex_);
  Listener listener_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::store
