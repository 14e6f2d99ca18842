#include "services/issuer/new_keys.h"

#include <memory>
#include <optional>
#include <utility>

#include "lib/base/mutex.h"
#include "lib/base/status_macros.h"
#include "lib/runtime/event.h"

namespace certwright::issuer_service {
namespace {

// An RSA key on its way from the pool to whoever waits for it.
struct Delivery {
  base::Mutex mutex;
  std::optional<absl::StatusOr<pki::PrivateKey>> key CW_GUARDED_BY(mutex);
  runtime::Event done;
};

}  // namespace

runtime::Awaitable<absl::StatusOr<pki::PrivateKey>> NewKeys::Make(runtime::Context context,
                                                                  pki::KeySpec spec) {
  if (spec.algorithm != pki::KeyAlgorithm::kRsa) co_return pki::PrivateKey::Generate(spec);
  auto delivery = std::make_shared<Delivery>();
  rsa_keys_.Make(spec.size, [delivery](absl::StatusOr<pki::PrivateKey> key) {
    {
      base::MutexLock lock(delivery->mutex);
      delivery->key = std::move(key);
    }
    delivery->done.Set();
  });
  const absl::Status waited = co_await delivery->done.Wait(timers_, context);
  if (!waited.ok()) co_return base::Annotate(waited, "waiting for an RSA key");
  base::MutexLock lock(delivery->mutex);
  co_return *std::move(delivery->key);
}

}  // namespace certwright::issuer_service
