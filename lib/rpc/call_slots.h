// CallSlots: how many calls one caller may have at once, so that none takes what the others
// need.
//
// Who is known counts by its first identity, who is not by its address. The services may have
// any number among each other.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/rpc/access.h"

namespace certwright::rpc {

struct CallSlotLimits {
  // Of one identity, watches among them.
  int per_identity = 128;
  // Of one address from which nobody is known: what they may call is quickly answered.
  int per_address = 16;
  // Of all who are not known.
  int unknown = 128;
};

class CallSlots : public std::enable_shared_from_this<CallSlots> {
 public:
  explicit CallSlots(CallSlotLimits limits = {}) : limits_(limits) {}

  // Given back when it is released or destroyed.
  class Slot {
   public:
    Slot() = default;
    Slot(std::shared_ptr<CallSlots> slots, std::string key, bool known)
        : slots_(std::move(slots)), key_(std::move(key)), known_(known) {}
    Slot(Slot&& other) noexcept = default;
    Slot& operator=(Slot&& other) noexcept {
      Release();
      slots_ = std::move(other.slots_);
      key_ = std::move(other.key_);
      known_ = other.known_;
      return *this;
    }
    ~Slot() { Release(); }

    void Release();

   private:
    std::shared_ptr<CallSlots> slots_;
    std::string key_;
    bool known_ = false;
  };

  // RESOURCE_EXHAUSTED, naming the limit, when the caller has as many as it may.
  absl::StatusOr<Slot> Take(const Caller& caller);

 private:
  void Give(const std::string& key, bool known);

  const CallSlotLimits limits_;
  base::Mutex mutex_;
  std::map<std::string, int> taken_ CW_GUARDED_BY(mutex_);
  int unknown_ CW_GUARDED_BY(mutex_) = 0;
};

}  // namespace certwright::rpc
