// NewKeys: makes private keys without holding up a thread of the executor: RSA keys, which take
// long, come from a pool that makes them ahead on a thread of its own.
//
// Threading: safe from any thread.
#pragma once

#include "absl/status/statusor.h"
#include "lib/pki/key.h"
#include "lib/pki/rsa_key_pool.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::issuer_service {

class NewKeys {
 public:
  // `timers` must outlive this.
  explicit NewKeys(runtime::Timers& timers) : timers_(timers) {}

  // INVALID_ARGUMENT for a size that the algorithm does not have.
  runtime::Awaitable<absl::StatusOr<pki::PrivateKey>> Make(runtime::Context context,
                                                           pki::KeySpec spec);

 private:
  runtime::Timers& timers_;
  pki::RsaKeyPool rsa_keys_;
};

}  // namespace certwright::issuer_service
