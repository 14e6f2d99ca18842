// RsaKeyPool: RSA keys made ahead, for making one takes from a tenth of a second to minutes.
//
// The first Take() of a size makes the pool keep a stock of that size; at most four sizes are
// kept. Keys are made one at a time by a thread of the pool's own: first those that somebody
// waits for, small ones before large ones, then the stock.
//
// Threading: Take() and Make() are safe from any thread and wait for no key. The destructor
// breaks off the key that is being made.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/pki/key.h"

namespace certwright::pki {

class RsaKeyPool {
 public:
  // `stock`: how many keys of a size are made ahead.
  explicit RsaKeyPool(size_t stock = 4);
  ~RsaKeyPool();
  RsaKeyPool(const RsaKeyPool&) = delete;
  RsaKeyPool& operator=(const RsaKeyPool&) = delete;

  // A key that nobody else gets, of `size` bits; nullopt if none is in stock, and always for a
  // size that PrivateKey::Generate() refuses. The caller then makes its own.
  std::optional<PrivateKey> Take(int size) CW_EXCLUDES(mutex_);

  // Gives `done` a key that nobody else gets, once: within this call if one is in stock, else
  // from the pool's thread, so it must be quick. Only the sizes 2048, 3072 and 4096 are kept in
  // stock. INVALID_ARGUMENT for a size that PrivateKey::Generate() refuses, CANCELLED if the
  // pool is destroyed first.
  using Done = absl::AnyInvocable<void(absl::StatusOr<PrivateKey>)>;
  void Make(int size, Done done) CW_EXCLUDES(mutex_);

 private:
  void Run() CW_EXCLUDES(mutex_);
  // Makes one key, for an order or for the stock.
  void MakeNext(int size, Done done) CW_EXCLUDES(mutex_);
  // The size with the smallest stock that is not full; 0 if all are.
  int NextSize() const CW_REQUIRES(mutex_);

  const size_t stock_;
  std::atomic<bool> stopping_ = false;
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  // By size.
  std::map<int, std::deque<PrivateKey>> keys_ CW_GUARDED_BY(mutex_);
  // Those who wait for a key, by its size.
  std::multimap<int, Done> orders_ CW_GUARDED_BY(mutex_);
  // Last, for it uses what is above.
  std::thread maker_;
};

}  // namespace certwright::pki
