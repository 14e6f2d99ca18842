#include "lib/rpc/call_slots.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/rpc/connection_counts.h"
#include "lib/rpc/status.h"

namespace certwright::rpc {
namespace {

// Calls end quickly, so it is worth while to try again soon.
constexpr absl::Duration kRetryAfter = absl::Seconds(1);

}  // namespace

absl::StatusOr<CallSlots::Slot> CallSlots::Take(const Caller& caller) {
  if (!caller.services.empty()) return Slot();
  const bool known = !caller.identities.empty();
  std::string key = known ? caller.identities.front() : PeerOfUri(caller.peer);
  const int limit = known ? limits_.per_identity : limits_.per_address;
  {
    base::MutexLock lock(mutex_);
    const bool room = known || unknown_ < limits_.unknown;
    int& taken = taken_[key];
    if (room && taken < limit) {
      ++taken;
      if (!known) ++unknown_;
      return Slot(shared_from_this(), std::move(key), known);
    }
    if (taken == 0) taken_.erase(key);
  }
  const absl::Status status = absl::ResourceExhaustedError(
      known ? absl::StrCat(caller.Description(), " has ", limit,
                           " calls at once, which is the limit of one caller; try again when "
                           "one has ended")
            : absl::StrCat("too many calls of callers that are not known at once: at most ",
                           limit, " from one address and ", limits_.unknown, " in all"));
  return WithRetryAfter(WithReason(status, "TOO_MANY_CALLS"), kRetryAfter);
}

void CallSlots::Give(const std::string& key, bool known) {
  base::MutexLock lock(mutex_);
  const auto taken = taken_.find(key);
  if (--taken->second == 0) taken_.erase(taken);
  if (!known) --unknown_;
}

void CallSlots::Slot::Release() {
  if (slots_ != nullptr) slots_->Give(key_, known_);
  slots_ = nullptr;
}

}  // namespace certwright::rpc
