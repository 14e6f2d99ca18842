// OrderMemory: what the order service remembers between the passes of one order without
// writing it down. What is lost in a restart does no harm, or is read from the Orders again.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"

namespace certwright::order {

class OrderMemory {
 public:
  // On the monotonic clock, so that what is due soon stays so when the wall clock is set.
  struct Waits {
    // How often the CA was asked whether it is done, and when it is to be asked next.
    int polls = 0;
    base::MonotonicTime next_poll{-absl::InfiniteDuration()};
    // Until when nothing is asked of the CA. Absent: what the record says, which another
    // process wrote.
    std::optional<base::MonotonicTime> retry = {};
  };

  Waits waits(const std::string& key) const;
  void SetWaits(const std::string& key, const Waits& waits);

  // A CA answers a second newOrder for the same names with the same order. The first of our
  // orders to claim its URL has it: empty then, else the key of the order that has it.
  std::string ClaimUrl(const std::string& url, const std::string& key);

  // The order is final or gone.
  void Forget(const std::string& key);

 private:
  mutable base::Mutex mutex_;
  std::map<std::string, Waits> waits_ CW_GUARDED_BY(mutex_);
  std::map<std::string, std::string> key_of_url_ CW_GUARDED_BY(mutex_);
  std::map<std::string, std::string> url_of_key_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::order
