#include "lib/pki/rsa_key_pool.h"

#include <openssl/rsa.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "lib/pki/openssl.h"

namespace certwright::pki {
namespace {

constexpr size_t kMaxSizes = 4;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;

int ContinueUnlessStopping(EVP_PKEY_CTX* context) {
  const auto* stopping =
      static_cast<const std::atomic<bool>*>(EVP_PKEY_CTX_get_app_data(context));
  return stopping->load() ? 0 : 1;
}

// PrivateKey::Generate() for RSA, but given up once `stopping` is set; then, and on failure,
// nullopt.
std::optional<PrivateKey> MakeKey(int size, std::atomic<bool>& stopping) {
  OpensslErrorScope scope;
  OpensslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  if (context == nullptr || EVP_PKEY_keygen_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), size) != 1) {
    return std::nullopt;
  }
  EVP_PKEY_CTX_set_app_data(context.get(), &stopping);
  EVP_PKEY_CTX_set_cb(context.get(), ContinueUnlessStopping);
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_keygen(context.get(), &key) != 1) return std::nullopt;
  return PrivateKey(std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free));
}

}  // namespace

RsaKeyPool::RsaKeyPool(size_t stock) : stock_(stock), maker_([this] { Run(); }) {}

RsaKeyPool::~RsaKeyPool() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  maker_.join();
}

std::optional<PrivateKey> RsaKeyPool::Take(int size) {
  if (size < kMinRsaBits || size > kMaxRsaBits) return std::nullopt;
  std::optional<PrivateKey> key;
  {
    base::MutexLock lock(mutex_);
    auto stocked = keys_.find(size);
    if (stocked == keys_.end()) {
      if (keys_.size() == kMaxSizes) return std::nullopt;
      stocked = keys_.try_emplace(size).first;
    }
    std::deque<PrivateKey>& keys = stocked->second;
    if (!keys.empty()) {
      key = std::move(keys.front());
      keys.pop_front();
    }
  }
  changed_.notify_all();
  return key;
}

int RsaKeyPool::NextSize() const {
  int next = 0;
  size_t fewest = stock_;
  for (const auto& [size, keys] : keys_) {
    if (keys.size() >= fewest) continue;
    fewest = keys.size();
    next = size;
  }
  return next;
}

void RsaKeyPool::Make(int size, Done done) {
  if (size < kMinRsaBits || size > kMaxRsaBits) {
    return done(absl::InvalidArgumentError("RSA keys have 2048 to 8192 bits"));
  }
  if (size == 2048 || size == 3072 || size == 4096) {
    std::optional<PrivateKey> key = Take(size);
    if (key.has_value()) return done(*std::move(key));
  }
  {
    base::MutexLock lock(mutex_);
    orders_.emplace(size, std::move(done));
  }
  changed_.notify_all();
}

void RsaKeyPool::MakeNext(int size, Done done) {
  std::optional<PrivateKey> key = MakeKey(size, stopping_);
  if (done != nullptr) {
    if (key.has_value()) return done(*std::move(key));
    return done(stopping_ ? absl::CancelledError("no RSA key is made any more")
                          : absl::InternalError("cannot generate an RSA key"));
  }
  base::MutexLock lock(mutex_);
  if (key.has_value()) {
    keys_[size].push_back(*std::move(key));
  } else if (!stopping_) {
    // Not again until somebody asks for this size again.
    keys_.erase(size);
  }
}

void RsaKeyPool::Run() {
  while (true) {
    int size = 0;
    Done done;
    {
      base::MutexLock lock(mutex_);
      changed_.wait(mutex_, [&]() CW_REQUIRES(mutex_) {
        return stopping_ || !orders_.empty() || NextSize() != 0;
      });
      if (stopping_) break;
      size = NextSize();
      if (!orders_.empty()) {
        auto order = orders_.extract(orders_.begin());
        size = order.key();
        done = std::move(order.mapped());
      }
    }
    MakeNext(size, std::move(done));
  }
  std::multimap<int, Done> orders;
  {
    base::MutexLock lock(mutex_);
    orders.swap(orders_);
  }
  for (auto& [size, done] : orders) done(absl::CancelledError("no RSA key is made any more"));
}

}  // namespace certwright::pki
