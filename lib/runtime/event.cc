#include "lib/runtime/event.h"

#include <cstdint>
#include <memory>

#include "lib/base/status_macros.h"

namespace certwright::runtime {

Awaitable<absl::Status> Event::Wait(Timers& timers, Context context) {
  auto ended = std::make_shared<Cancellation>();
  const uint64_t set = set_.Register([ended] { ended->Cancel(); });
  uint64_t cancelled = 0;
  if (context.cancellation() != nullptr) {
    cancelled = context.cancellation()->Register([ended] { ended->Cancel(); });
  }
  const Context waiting(timers.clock(), context.deadline(), ended);
  (void)co_await SleepFor(timers, waiting, context.Remaining());
  set_.Unregister(set);
  if (context.cancellation() != nullptr) context.cancellation()->Unregister(cancelled);
  if (IsSet()) co_return absl::OkStatus();
  CW_CO_RETURN_IF_ERROR(context.Check());
  co_return absl::DeadlineExceededError("the deadline has passed");
}

}  // namespace certwright::runtime
