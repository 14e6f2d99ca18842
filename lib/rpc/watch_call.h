// WatchCall: one live Watch call: a stream of events until either side ends it.
//
// What a watcher has yet to take is bounded in bytes: who feeds a list waits for room, and a
// watcher that takes too little of the live events is cut with RESOURCE_EXHAUSTED, to watch
// again from the last version that it saw. One write is outstanding at a time, and there is
// exactly one end. Who feeds a watch holds a weak_ptr, or what SetOnDone() ends.
//
// Threading: Push() and End() from any thread, also concurrently.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/base/mutex.h"
#include "lib/rpc/call.h"
#include "lib/rpc/watch_hub.h"

namespace certwright::rpc {

struct WatchLimits {
  // More than this, and a watcher that has taken nothing for `max_stall` is cut.
  std::size_t max_pending_bytes = 512 << 10;
  absl::Duration max_stall = absl::Seconds(5);
  // More than this is the end at once.
  std::size_t max_burst_bytes = 8 << 20;
  // Of all watchers of a server together: beyond it whoever has more than max_pending_bytes is
  // cut without waiting.
  std::size_t max_total_bytes = 24 << 20;
  absl::Duration heartbeat = absl::Seconds(30);
};

class WatchCall final : public Call, public EndableWatch {
 public:
  using Handler = std::function<void(std::shared_ptr<WatchCall> watch,
                                     const google::protobuf::Message& request)>;

  WatchCall(const CallEnvironment& environment, const Method& method, const Handler& handler,
            const WatchLimits& limits)
      : Call(environment, method),
        handler_(handler),
        limits_(limits),
        hub_(environment.watches),
        timers_(environment.timers) {}

  using Call::executor;

  void Push(const google::protobuf::Message& event);
  // Later calls change nothing; what is still queued is dropped.
  void End(const absl::Status& status) override;

  // Before a part of a list is read: returns when less than max_pending_bytes wait, the caller
  // owes nothing for what it got before, and it is its turn, which is to be held until the part
  // is pushed; or when the watch has ended.
  runtime::Awaitable<ReadTurns::Turn> WaitForRoom();
  // `beat` pushes what is to be sent every `heartbeat`; called once.
  void SetHeartbeat(std::function<void(WatchCall& watch)> beat);
  // Called once when gRPC is done with the call, which may be so already: stop feeding it.
  void SetOnDone(std::function<void()> on_done);

  void OnWriteDone(bool ok) override;
  void OnCancel() override { End(absl::CancelledError("the watcher has gone")); }
  void OnDone() override;

 private:
  absl::Status Admit() override;
  void OnRequest() override;
  absl::Duration Owed() const;
  bool HasRoom() const CW_REQUIRES(mutex_);
  runtime::Awaitable<void> WaitFor(absl::Duration owed);
  bool TooSlow() const CW_REQUIRES(mutex_);
  void WriteNext() CW_REQUIRES(mutex_);
  void EndLocked(const absl::Status& status) CW_REQUIRES(mutex_);
  void Drop(std::size_t from) CW_REQUIRES(mutex_);
  void WakeFeeder() CW_REQUIRES(mutex_);
  void ArmHeartbeat();

  const Handler& handler_;
  const WatchLimits limits_;
  const std::shared_ptr<WatchHub> hub_;
  runtime::Timers& timers_;
  base::Mutex mutex_;
  std::function<void(WatchCall& watch)> beat_ CW_GUARDED_BY(mutex_);
  std::function<void()> on_done_ CW_GUARDED_BY(mutex_);
  // Resumes who waits for room, or for the time that the caller owes.
  absl::AnyInvocable<void(bool)> feeder_ CW_GUARDED_BY(mutex_);
  std::deque<grpc::ByteBuffer> pending_ CW_GUARDED_BY(mutex_);
  std::size_t pending_bytes_ CW_GUARDED_BY(mutex_) = 0;
  // Of the rate of calls.
  std::size_t uncharged_bytes_ CW_GUARDED_BY(mutex_) = 0;
  base::MonotonicTime last_taken_ CW_GUARDED_BY(mutex_){absl::ZeroDuration()};
  runtime::Timers::TimerId heartbeat_timer_ CW_GUARDED_BY(mutex_) = 0;
  bool writing_ CW_GUARDED_BY(mutex_) = false;
  bool ended_ CW_GUARDED_BY(mutex_) = false;
  bool done_ CW_GUARDED_BY(mutex_) = false;
};

}  // namespace certwright::rpc
