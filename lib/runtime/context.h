// Context: what bounds one piece of work: a deadline and a cancellation. It is handed by
// value, as first argument, from an incoming call to every call made on its behalf.
//
// Threading: safe from any thread. A cancelled context stays cancelled.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"

namespace certwright::runtime {

// Shared by the one who cancels and those who listen.
class Cancellation {
 public:
  // Runs every registered callback, once, on this thread; later registrations run at once.
  void Cancel();
  bool cancelled() const;

  // `callback` runs when (or if already) cancelled; it must be quick and not block. The
  // returned id takes it back; Unregister() does not wait for one that is running.
  uint64_t Register(std::function<void()> callback);
  void Unregister(uint64_t id);

 private:
  mutable base::Mutex mutex_;
  bool cancelled_ CW_GUARDED_BY(mutex_) = false;
  uint64_t next_id_ CW_GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, std::function<void()>> callbacks_ CW_GUARDED_BY(mutex_);
};

class Context {
 public:
  // `cancellation` may be null: then only the deadline bounds the work.
  Context(const base::Clock& clock, base::MonotonicTime deadline,
          std::shared_ptr<Cancellation> cancellation = nullptr)
      : clock_(&clock), deadline_(deadline), cancellation_(std::move(cancellation)) {}

  static Context WithTimeout(const base::Clock& clock, absl::Duration timeout) {
    return Context(clock, clock.MonotonicNow() + timeout);
  }

  // The same cancellation, and the nearer of the two deadlines.
  Context Within(absl::Duration timeout) const;

  base::MonotonicTime deadline() const { return deadline_; }
  // Zero when the deadline has passed.
  absl::Duration Remaining() const;
  bool cancelled() const { return cancellation_ != nullptr && cancellation_->cancelled(); }
  const std::shared_ptr<Cancellation>& cancellation() const { return cancellation_; }

  // OK, or CANCELLED, or DEADLINE_EXCEEDED.
  absl::Status Check() const;

 private:
  const base::Clock* clock_;
  base::MonotonicTime deadline_;
  std::shared_ptr<Cancellation> cancellation_;
};

}  // namespace certwright::runtime
