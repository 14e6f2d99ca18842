// Mutex: std::mutex with the annotations of Clang's thread-safety analysis.
//
// Not absl::Mutex, because Debian's Abseil is not built for ThreadSanitizer, which then
// reports every correctly locked access as a race.
#pragma once

#include <mutex>

#if defined(__clang__)
#define CW_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define CW_THREAD_ANNOTATION(x)
#endif
#define CW_GUARDED_BY(x) CW_THREAD_ANNOTATION(guarded_by(x))
#define CW_REQUIRES(...) CW_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define CW_EXCLUDES(...) CW_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))

namespace certwright::base {

class CW_THREAD_ANNOTATION(capability("mutex")) Mutex {
 public:
  void Lock() CW_THREAD_ANNOTATION(acquire_capability()) { mutex_.lock(); }
  void Unlock() CW_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }
  // For std::condition_variable_any, which wants these names.
  void lock() CW_THREAD_ANNOTATION(acquire_capability()) { mutex_.lock(); }      // NOLINT
  void unlock() CW_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }  // NOLINT

 private:
  std::mutex mutex_;
};

class CW_THREAD_ANNOTATION(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) CW_THREAD_ANNOTATION(acquire_capability(mutex))
      : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() CW_THREAD_ANNOTATION(release_capability()) { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace certwright::base
