// CallGate: closes a server to new calls before it is shut down.
//
// gRPC ends a call that reaches a server in the middle of its shutdown with CANCELLED, which no
// client tries again. So new calls are first refused with UNAVAILABLE, which clients do try
// again, and the server is shut down in a moment when none arrives.
//
// Threading: all methods are safe from any thread.
#pragma once

#include <condition_variable>

#include "absl/time/time.h"
#include "lib/base/mutex.h"

namespace certwright::rpc {

class CallGate {
 public:
  // Whether the call may run; Leave() is due then.
  bool Enter();
  void Leave();

  void Close();
  // After Close(): blocks until no call runs and none has arrived for `quiet`, at most for
  // `limit`; whether it came to that.
  bool WaitUntilQuiet(absl::Duration quiet, absl::Duration limit);

 private:
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  bool closed_ CW_GUARDED_BY(mutex_) = false;
  int running_ CW_GUARDED_BY(mutex_) = 0;
  int64_t arrivals_ CW_GUARDED_BY(mutex_) = 0;
};

}  // namespace certwright::rpc
