// WatchSource: where an Informer gets the resources of one kind from, and their changes.
//
// The contract is that of the Watch calls in docs/API.md: without a resource version, every
// present resource as kAdded, then one kBookmark, then changes; with one, the changes after
// it, or an end with OUT_OF_RANGE if it is too old.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"

namespace certwright::controller {

enum class EventType { kAdded, kModified, kDeleted, kBookmark };

template <typename T>
class WatchSource {
 public:
  // The resource is empty for kBookmark and the last state for kDeleted. `resource_version`
  // is what to resume from to get what comes after this event.
  using OnEvent = std::function<void(EventType type, T resource, std::string resource_version)>;
  // The last call; OK too means that the watch is over.
  using OnEnd = std::function<void(absl::Status status)>;

  // Its destruction ends the watch: once the destructor has returned, no callback runs or
  // will. It waits for one that runs on another thread, and may be called from within one.
  class Handle {
   public:
    virtual ~Handle() = default;
  };

  virtual ~WatchSource() = default;
  // Callbacks are serialized, come from any thread, and never from within Start().
  virtual std::unique_ptr<Handle> Start(std::string resource_version, OnEvent on_event,
                                        OnEnd on_end) = 0;
};

}  // namespace certwright::controller
