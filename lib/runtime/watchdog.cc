#include "lib/runtime/watchdog.h"

#include <cstdio>
#include <cstdlib>

namespace certwright::runtime {

Watchdog::Watchdog(absl::Duration limit)
    : thread_([this, limit](const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        condition_.wait_for(lock, stop, absl::ToChronoMilliseconds(limit),
                            [] { return false; });
        if (stop.stop_requested()) return;
        std::fputs("the process does not end: something in it does not heed its end\n", stderr);
        std::_Exit(70);
      }) {}

}  // namespace certwright::runtime
