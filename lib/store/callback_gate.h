// CallbackGate: lets a callback run, serially, until its owner is gone, whose destructor
// must not return while it runs on another thread.
#pragma once

#include <condition_variable>
#include <thread>

#include "lib/base/mutex.h"

namespace certwright::store {

class CallbackGate {
 public:
  // Calls `callback` without locks, unless closed. Calls must not overlap. The gate must
  // survive the call even if the callback destroys the gate's owner.
  template <typename Callback>
  void Run(Callback&& callback) {
    {
      base::MutexLock lock(mutex_);
      if (closed_) return;
      running_ = std::this_thread::get_id();
    }
    callback();
    base::MutexLock lock(mutex_);
    running_ = std::thread::id();
    idle_.notify_all();
  }

  // Waits for a callback that runs on another thread; none runs after that.
  void Close() {
    base::MutexLock lock(mutex_);
    closed_ = true;
    while (running_ != std::thread::id() && running_ != std::this_thread::get_id()) {
      idle_.wait(mutex_);
    }
  }

  // Whether this is called from within the callback.
  bool running_here() const {
    base::MutexLock lock(mutex_);
    return running_ == std::this_thread::get_id();
  }

  bool closed() const {
    base::MutexLock lock(mutex_);
    return closed_;
  }

 private:
  mutable base::Mutex mutex_;
  std::condition_variable_any idle_;
  bool closed_ CW_GUARDED_BY(mutex_) = false;
  std::thread::id running_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::store
