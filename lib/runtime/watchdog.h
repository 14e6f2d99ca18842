// Watchdog: ends the process, with status 70, unless it is destroyed in time.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

namespace certwright::runtime {

class Watchdog {
 public:
  explicit Watchdog(absl::Duration limit);

 private:
  std::mutex mutex_;
  std::condition_variable_any condition_;
  // Last, so that it has ended before what it uses goes.
  std::jthread thread_;
};

}  // namespace certwright::runtime
