#include "lib/rpc/watch_call.h"

namespace certwright::rpc {

absl::Status WatchCall::Admit() {
  return hub_->ended() ? absl::UnavailableError("the server is shutting down; watch again")
                       : absl::OkStatus();
}

void WatchCall::OnRequest() {
  const auto self = std::static_pointer_cast<WatchCall>(shared_from_this());
  if (!hub_->Add(self)) {
    return End(absl::UnavailableError("the server is shutting down; watch again"));
  }
  handler_(self, request());
}

void WatchCall::Push(const google::protobuf::Message& event) {
  grpc::ByteBuffer bytes = Serialize(event);
  base::MutexLock lock(mutex_);
  if (ended_) return;
  if (pending_.empty()) last_taken_ = timers_.clock().MonotonicNow();
  if (TooSlow()) {
    return EndLocked(absl::ResourceExhaustedError(
        "this watcher is too slow; watch again from the last resource version"));
  }
  uncharged_bytes_ += bytes.Length();
  if (environment().call_rate != nullptr) {
    uncharged_bytes_ = environment().call_rate->Charge(caller(), uncharged_bytes_);
  }
  pending_bytes_ += bytes.Length();
  hub_->AddPending(bytes.Length());
  pending_.push_back(std::move(bytes));
  if (!writing_) WriteNext();
}

bool WatchCall::TooSlow() const {
  if (pending_bytes_ >= limits_.max_burst_bytes) return true;
  if (pending_bytes_ < limits_.max_pending_bytes) return false;
  return hub_->pending_bytes() >= limits_.max_total_bytes ||
         timers_.clock().MonotonicNow() - last_taken_ >= limits_.max_stall;
}

void WatchCall::End(const absl::Status& status) {
  base::MutexLock lock(mutex_);
  EndLocked(status);
}

void WatchCall::EndLocked(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  // The message being written must stay until OnWriteDone().
  Drop(writing_ ? 1 : 0);
  WakeFeeder();
  Complete(status);
}

void WatchCall::Drop(std::size_t from) {
  while (pending_.size() > from) {
    const std::size_t bytes = pending_.back().Length();
    pending_bytes_ -= bytes;
    hub_->RemovePending(bytes);
    pending_.pop_back();
  }
}

void WatchCall::WriteNext() {
  writing_ = true;
  StartWrite(&pending_.front());
}

void WatchCall::WakeFeeder() {
  if (feeder_) std::exchange(feeder_, nullptr)(true);
}

absl::Duration WatchCall::Owed() const {
  return environment().call_rate == nullptr ? absl::ZeroDuration()
                                            : environment().call_rate->Owed(caller());
}

bool WatchCall::HasRoom() const { return ended_ || pending_bytes_ < limits_.max_pending_bytes; }

runtime::Awaitable<ReadTurns::Turn> WatchCall::WaitForRoom() {
  while (true) {
    co_await WaitFor(Owed());
    ReadTurns::Turn turn = co_await environment().read_turns->Take(caller());
    // Whoever had the turn before may have used up what the caller may have.
    const bool owes = Owed() > absl::ZeroDuration();
    base::MutexLock lock(mutex_);
    if (ended_ || (HasRoom() && !owes)) co_return turn;
  }
}

runtime::Awaitable<void> WatchCall::WaitFor(absl::Duration owed) {
  auto wait = [this, owed](absl::AnyInvocable<void(bool)> done) {
    base::MutexLock lock(mutex_);
    feeder_ = std::move(done);
    if (ended_ || (HasRoom() && owed == absl::ZeroDuration())) return WakeFeeder();
    if (owed == absl::ZeroDuration()) return;
    timers_.ScheduleAfter(owed, [weak = weak_from_this()] {
      const auto call = std::static_pointer_cast<WatchCall>(weak.lock());
      if (call == nullptr) return;
      base::MutexLock lock(call->mutex_);
      call->WakeFeeder();
    });
  };
  co_await runtime::AwaitCallback<bool>(std::move(wait));
}

void WatchCall::OnWriteDone(bool ok) {
  base::MutexLock lock(mutex_);
  writing_ = false;
  last_taken_ = timers_.clock().MonotonicNow();
  const std::size_t bytes = pending_.front().Length();
  pending_bytes_ -= bytes;
  hub_->RemovePending(bytes);
  pending_.pop_front();
  if (!ok) return EndLocked(absl::CancelledError("the watcher has gone"));
  if (!ended_ && !pending_.empty()) WriteNext();
  if (HasRoom()) WakeFeeder();
}

void WatchCall::OnDone() {
  std::function<void()> on_done;
  {
    base::MutexLock lock(mutex_);
    done_ = true;
    if (heartbeat_timer_ != 0) timers_.Cancel(heartbeat_timer_);
    on_done = std::move(on_done_);
  }
  hub_->Remove(this);
  if (on_done) on_done();
  Call::OnDone();
}

void WatchCall::SetOnDone(std::function<void()> on_done) {
  {
    base::MutexLock lock(mutex_);
    if (!done_) {
      on_done_ = std::move(on_done);
      return;
    }
  }
  on_done();
}

void WatchCall::SetHeartbeat(std::function<void(WatchCall& watch)> beat) {
  {
    base::MutexLock lock(mutex_);
    beat_ = std::move(beat);
  }
  ArmHeartbeat();
}

void WatchCall::ArmHeartbeat() {
  base::MutexLock lock(mutex_);
  if (ended_) return;
  heartbeat_timer_ = timers_.ScheduleAfter(limits_.heartbeat, [weak = weak_from_this()] {
    const auto call = std::static_pointer_cast<WatchCall>(weak.lock());
    if (call == nullptr) return;
    std::function<void(WatchCall & watch)> beat;
    {
      base::MutexLock lock(call->mutex_);
      if (call->ended_) return;
      beat = call->beat_;
    }
    beat(*call);
    call->ArmHeartbeat();
  });
}

}  // namespace certwright::rpc
