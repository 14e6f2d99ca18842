// WatchReactor: one live Watch call; WatchHub: all of a server's, so that a drain can end
// them.
//
// Rules of the stream: a bounded queue, so that a slow watcher costs little and is cut with
// RESOURCE_EXHAUSTED; one write outstanding; exactly one Finish. A reactor keeps itself alive
// until gRPC is done with it; who feeds it holds a weak_ptr or what `on_done` ends.
//
// Threading: Push() and End() from any thread, also concurrently.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/support/server_callback.h"
#include "lib/base/mutex.h"
#include "lib/rpc/status.h"
#include "lib/runtime/timers.h"

namespace certwright::rpc {

inline constexpr std::size_t kMaxPendingEvents = 1000;
inline constexpr std::size_t kMaxBurstEvents = 20000;

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
  std::size_t size() const;

 private:
  mutable base::Mutex mutex_;
  bool ended_ CW_GUARDED_BY(mutex_) = false;
  std::map<const EndableWatch*, std::weak_ptr<EndableWatch>> watches_ CW_GUARDED_BY(mutex_);
};

template <typename Response>
class WatchReactor final : public grpc::ServerWriteReactor<Response>,
                           public EndableWatch,
                           public std::enable_shared_from_this<WatchReactor<Response>> {
 public:
  struct Options {
    // With more pending, a watcher that has taken nothing for `max_stall` is cut. A burst of
    // up to `max_burst` (all that exists, at the start of a watch) is not its fault.
    std::size_t max_pending = kMaxPendingEvents;
    std::size_t max_burst = kMaxBurstEvents;
    absl::Duration max_stall = absl::Seconds(5);
    // Makes the message to send every `heartbeat`, or nothing; may be empty.
    std::function<std::optional<Response>()> make_heartbeat;
    absl::Duration heartbeat = absl::Seconds(30);
    // Called once, when gRPC is done with the call: stop feeding it. May be empty.
    std::function<void()> on_done;
  };

  // `timers` and `hub` must outlive the call. Returned to gRPC by the service's method.
  static std::shared_ptr<WatchReactor> Make(runtime::Timers& timers, WatchHub& hub,
                                            Options options) {
    std::shared_ptr<WatchReactor> reactor(new WatchReactor(timers, hub, std::move(options)));
    {
      base::MutexLock lock(reactor->mutex_);
      reactor->self_ = reactor;
    }
    if (hub.Add(reactor)) {
      reactor->ArmHeartbeat();
    } else {
      reactor->End(absl::UnavailableError("the server is shutting down; watch again"));
    }
    return reactor;
  }

  void Push(Response response) {
    base::MutexLock lock(mutex_);
    if (ended_) return;
    if (pending_.empty()) last_taken_ = timers_.clock().MonotonicNow();
    if (TooSlow()) {
      return EndLocked(absl::ResourceExhaustedError(
          "this watcher is too slow; watch again from the last resource version"));
    }
    pending_.push_back(std::move(response));
    if (!writing_) WriteNext();
  }

  // Later calls change nothing; what is still queued is dropped.
  void End(const absl::Status& status) override {
    base::MutexLock lock(mutex_);
    EndLocked(status);
  }

  // To be called by who set up the feed after Make(), so that it can be taken down.
  void SetOnDone(std::function<void()> on_done) {
    {
      base::MutexLock lock(mutex_);
      if (!done_) {
        options_.on_done = std::move(on_done);
        return;
      }
    }
    on_done();
  }

  void OnWriteDone(bool ok) override {
    base::MutexLock lock(mutex_);
    writing_ = false;
    last_taken_ = timers_.clock().MonotonicNow();
    pending_.pop_front();
    if (!ok) return EndLocked(absl::CancelledError("the watcher has gone"));
    if (!ended_ && !pending_.empty()) WriteNext();
  }

  void OnCancel() override { End(absl::CancelledError("the watcher has gone")); }

  void OnDone() override {
    std::function<void()> on_done;
    std::shared_ptr<WatchReactor> self;
    {
      base::MutexLock lock(mutex_);
      done_ = true;
      if (heartbeat_timer_ != 0) timers_.Cancel(heartbeat_timer_);
      on_done = std::move(options_.on_done);
      self = std::move(self_);
    }
    hub_.Remove(this);
    if (on_done) on_done();
  }

 private:
  WatchReactor(runtime::Timers& timers, WatchHub& hub, Options options)
      : timers_(timers), hub_(hub), options_(std::move(options)) {}

  bool TooSlow() const CW_REQUIRES(mutex_) {
    if (pending_.size() >= options_.max_burst) return true;
    return pending_.size() >= options_.max_pending &&
           timers_.clock().MonotonicNow() - last_taken_ >= options_.max_stall;
  }

  void WriteNext() CW_REQUIRES(mutex_) {
    writing_ = true;
    this->StartWrite(&pending_.front());
  }

  void EndLocked(const absl::Status& status) CW_REQUIRES(mutex_) {
    if (ended_) return;
    ended_ = true;
    // The message being written must stay until OnWriteDone().
    pending_.erase(pending_.begin() + (writing_ ? 1 : 0), pending_.end());
    this->Finish(ToGrpc(status));
  }

  void ArmHeartbeat() {
    base::MutexLock lock(mutex_);
    if (ended_ || !options_.make_heartbeat) return;
    heartbeat_timer_ =
        timers_.ScheduleAfter(options_.heartbeat, [weak = this->weak_from_this()] {
          if (const auto reactor = weak.lock()) reactor->Heartbeat();
        });
  }

  void Heartbeat() {
    std::function<std::optional<Response>()> make_heartbeat;
    {
      base::MutexLock lock(mutex_);
      if (ended_) return;
      make_heartbeat = options_.make_heartbeat;
    }
    if (std::optional<Response> heartbeat = make_heartbeat()) Push(*std::move(heartbeat));
    ArmHeartbeat();
  }

  runtime::Timers& timers_;
  WatchHub& hub_;
  base::Mutex mutex_;
  Options options_ CW_GUARDED_BY(mutex_);
  std::shared_ptr<WatchReactor> self_ CW_GUARDED_BY(mutex_);
  std::deque<Response> pending_ CW_GUARDED_BY(mutex_);
  base::MonotonicTime last_taken_ CW_GUARDED_BY(mutex_){absl::ZeroDuration()};
  runtime::Timers::TimerId heartbeat_timer_ CW_GUARDED_BY(mutex_) = 0;
  bool writing_ CW_GUARDED_BY(mutex_) = false;
  bool ended_ CW_GUARDED_BY(mutex_) = false;
  bool done_ CW_GUARDED_BY(mutex_) = false;
};

}  // namespace certwright::rpc
