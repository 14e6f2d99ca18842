// Nonces: those a fake CA hands out, each good for one request (RFC 8555 §6.5).
//
// The newest 131072 are remembered, spent or not, so memory does not grow. Threading: any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/base/mutex.h"

namespace certwright::fakes {

class Nonces {
 public:
  Nonces();

  std::string Make();
  // Whether it may be used; then it is spent.
  bool Spend(absl::string_view nonce);
  // How often a spent one came again.
  int reused() const;

 private:
  // Random, so that nobody takes another CA's.
  const std::string prefix_;
  mutable base::Mutex mutex_;
  uint64_t last_ CW_GUARDED_BY(mutex_) = 0;
  std::vector<bool> spent_ CW_GUARDED_BY(mutex_);
  int reused_ CW_GUARDED_BY(mutex_) = 0;
};

}  // namespace certwright::fakes
