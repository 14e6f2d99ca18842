// StoreInformer: an Informer over the resources in this process's own Store, so that a
// service's own resources wake its controllers: everything at the start, then every change.
#pragma once

#include <utility>

#include "lib/controller/informer.h"
#include "lib/controller/store_watch_source.h"

namespace certwright::controller {

// The informer's bookmarks come from the store only with changes, so silence means nothing.
inline InformerOptions WithoutIdleTimeout(InformerOptions options) {
  options.idle_timeout = absl::InfiniteDuration();
  return options;
}

template <typename T>
class StoreInformer {
 public:
  using Object = typename Informer<T>::Object;
  using Handler = typename Informer<T>::Handler;

  // As for StoreWatchSource and Informer.
  StoreInformer(store::ResourceStore<T>& resources, runtime::Executor executor,
                runtime::Timers& timers, base::Random& random,
                StoreWatchOptions watch_options = StoreWatchOptions(),
                InformerOptions informer_options = InformerOptions())
      : source_(resources, std::move(executor), timers.clock(), std::move(watch_options)),
        informer_(source_, timers, random, WithoutIdleTimeout(std::move(informer_options))) {}

  void AddHandler(Handler handler) { informer_.AddHandler(std::move(handler)); }
  void Start() { informer_.Start(); }
  void Stop() { informer_.Stop(); }
  runtime::Awaitable<absl::Status> WaitForSync(runtime::Context context) {
    return informer_.WaitForSync(std::move(context));
  }
  bool synced() const { return informer_.synced(); }
  Object Get(const std::string& key) const { return informer_.Get(key); }
  std::vector<Object> List() const { return informer_.List(); }
  absl::Status last_error() const { return informer_.last_error(); }

 private:
  StoreWatchSource<T> source_;
  Informer<T> informer_;
};

}  // namespace certwright::controller
