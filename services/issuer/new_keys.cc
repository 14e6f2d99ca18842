#include "services/issuer/new_keys.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "lib/base/mutex.h"
#include "lib/base/status_macros.h"

namespace certwright::issuer_service {
namespace {

// An RSA key on its way from the pool to whoever waits for it.
struct Delivery {
  base::Mutex mutex;
  std::optional<absl::StatusOr<pki::PrivateKey>> key CW_GUARDED_BY(mutex);
  // "Cancelled" when the key is there, or when the waiting context is.
  runtime::Cancellation ended;
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
    delivery->ended.Cancel();
  });
  const std::shared_ptr<runtime::Cancellation> ended(delivery, &delivery->ended);
  uint64_t registration = 0;
  if (context.cancellation() != nullptr) {
    registration = context.cancellation()->Register([ended] { ended->Cancel(); });
  }
  const runtime::Context waiting(timers_.clock(), context.deadline(), ended);
  // Which of the three ended the wait shows below.
  (void)co_await runtime::SleepFor(timers_, waiting, context.Remaining());
  if (context.cancellation() != nullptr) context.cancellation()->Unregister(registration);
  base::MutexLock lock(delivery->mutex);
  if (delivery->key.has_value()) co_return *std::move(delivery->key);
  CW_CO_RETURN_IF_ERROR(context.Check());
  co_return absl::DeadlineExceededError("an RSA key took too long to make");
}

}  // namespace certwright::issuer_service
