// StoreWatchSource: the resources of one kind in this process's own Store as a WatchSource.
// It feeds the informers of the service that owns them, and the service's Watch calls.
//
// A record that cannot be decoded is left out and reported, so that one damaged resource
// does not stop the work on the others.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/mutex.h"
#include "lib/base/status_macros.h"
#include "lib/controller/watch_source.h"
#include "lib/runtime/awaitable.h"
#include "lib/store/callback_gate.h"
#include "lib/store/resource_store.h"

namespace certwright::controller {

struct StoreWatchOptions {
  std::string resource_namespace = {};  // empty = all
  // Of the one resource of interest, in that namespace: others whose names begin with it may
  // come too. Empty = all.
  std::string name = {};
  absl::Duration list_deadline = absl::Seconds(30);  // of each read of the store
  // Told of records that cannot be decoded, from any thread; may be empty.
  std::function<void(const absl::Status&)> on_damaged = {};
  // Where changes are decoded and delivered. Empty: on a thread of the store, before those of
  // watches that have an executor.
  runtime::Executor events_on = {};
  // Awaited before each part of a list is read; what it returns is held until the part is
  // delivered. May be empty.
  std::function<runtime::Awaitable<std::shared_ptr<void>>()> wait_for_room = {};
};

template <typename T>
class StoreWatchSource final : public WatchSource<T> {
 public:
  using typename WatchSource<T>::Handle;
  using typename WatchSource<T>::OnEnd;
  using typename WatchSource<T>::OnEvent;

  // Lists run on `executor`. `resources` and `clock` must outlive what is started there.
  StoreWatchSource(store::ResourceStore<T>& resources, runtime::Executor executor,
                   const base::Clock& clock, StoreWatchOptions options = StoreWatchOptions())
      : resources_(resources),
        executor_(std::move(executor)),
        clock_(clock),
        options_(std::move(options)) {}

  std::unique_ptr<Handle> Start(std::string resource_version, OnEvent on_event,
                                OnEnd on_end) override {
    auto watch = std::make_shared<Watch>(resources_, clock_, options_, std::move(on_event),
                                         std::move(on_end));
    runtime::Spawn(executor_, Run(watch, std::move(resource_version)));
    return std::make_unique<StoreHandle>(std::move(watch));
  }

 private:
  // One started watch: first its list on the executor, then the store's calls.
  struct Watch {
    Watch(store::ResourceStore<T>& resources, const base::Clock& clock,
          const StoreWatchOptions& options, OnEvent on_event, OnEnd on_end)
        : resources(resources),
          clock(clock),
          options(options),
          on_event(std::move(on_event)),
          on_end(std::move(on_end)),
          prefix(options.resource_namespace.empty()
                     ? resources.Prefix()
                     : resources.Prefix(options.resource_namespace) + options.name) {}

    void Deliver(EventType type, const store::Record& record, int64_t revision) {
      absl::StatusOr<T> resource = resources.Decode(record);
      if (resource.ok()) {
        gate.Run([&] { on_event(type, *std::move(resource), absl::StrCat(revision)); });
      } else if (options.on_damaged) {
        gate.Run([&] { options.on_damaged(resource.status()); });
      }
    }
    void Bookmark(int64_t revision) {
      if (revision <= last_bookmark) return;
      last_bookmark = revision;
      gate.Run([&] { on_event(EventType::kBookmark, T(), absl::StrCat(revision)); });
    }
    void OnUpdate(store::WatchUpdate update);

    store::ResourceStore<T>& resources;
    const base::Clock& clock;
    const StoreWatchOptions options;
    const OnEvent on_event;
    const OnEnd on_end;
    const std::string prefix;
    store::CallbackGate gate;
    int64_t last_bookmark = -1;  // an empty store is at revision 0
    base::Mutex mutex;
    bool stopped CW_GUARDED_BY(mutex) = false;
    // Its callback holds this Watch, until the StoreHandle takes it.
    std::unique_ptr<store::WatchHandle> store_watch CW_GUARDED_BY(mutex);
  };

  class StoreHandle final : public Handle {
   public:
    explicit StoreHandle(std::shared_ptr<Watch> watch) : watch_(std::move(watch)) {}
    ~StoreHandle() override {
      watch_->gate.Close();
      std::unique_ptr<store::WatchHandle> store_watch;
      base::MutexLock lock(watch_->mutex);
      watch_->stopped = true;
      store_watch = std::move(watch_->store_watch);
    }

   private:
    const std::shared_ptr<Watch> watch_;
  };

  static runtime::Awaitable<void> Run(std::shared_ptr<Watch> watch, std::string version) {
    if (watch->gate.closed()) co_return;
    const absl::StatusOr<int64_t> revision = co_await Begin(watch, std::move(version));
    if (!revision.ok()) {
      watch->gate.Run([&] { watch->on_end(revision.status()); });
      co_return;
    }
    base::MutexLock lock(watch->mutex);
    if (watch->stopped) co_return;
    watch->store_watch = watch->resources.store().Watch(
        watch->prefix, *revision,
        [watch](store::WatchUpdate update) { watch->OnUpdate(std::move(update)); },
        watch->options.events_on);
  }

  // Delivers what is there, if asked for, and returns the revision to go on from.
  static runtime::Awaitable<absl::StatusOr<int64_t>> Begin(std::shared_ptr<Watch> watch,
                                                           std::string version) {
    if (!version.empty()) co_return store::ParseResourceVersion(version);
    store::ListRequest request;
    request.prefix = watch->prefix;
    request.limit = kListChunk;
    bool more = true;
    while (more) {
      std::shared_ptr<void> turn;
      if (watch->options.wait_for_room) turn = co_await watch->options.wait_for_room();
      auto context = runtime::Context::WithTimeout(watch->clock, watch->options.list_deadline);
      CW_CO_ASSIGN_OR_RETURN(store::ListResult page,
                             co_await watch->resources.store().List(context, request));
      for (const store::Record& record : page.records) {
        watch->Deliver(EventType::kAdded, record, page.revision);
      }
      request.at_revision = page.revision;
      more = page.more && !watch->gate.closed();
      if (!more) break;
      request.start_after = page.records.back().key;
      turn.reset();
      co_await runtime::Yield();
    }
    watch->Bookmark(request.at_revision);
    co_return request.at_revision;
  }

  static constexpr int64_t kListChunk = 500;

  store::ResourceStore<T>& resources_;
  const runtime::Executor executor_;
  const base::Clock& clock_;
  const StoreWatchOptions options_;
};

template <typename T>
void StoreWatchSource<T>::Watch::OnUpdate(store::WatchUpdate update) {
  if (!update.end.ok()) {
    gate.Run([&] { on_end(update.end); });
    return;
  }
  if (update.events.empty()) return Bookmark(update.revision);
  for (std::size_t i = 0; i < update.events.size(); ++i) {
    const store::Event& event = update.events[i];
    const bool last_of_revision =
        i + 1 == update.events.size() || update.events[i + 1].revision != event.revision;
    const EventType type = event.type == store::Event::kDelete ? EventType::kDeleted
                           : event.created                     ? EventType::kAdded
                                                               : EventType::kModified;
    // Who resumes from the middle of one revision must get the whole of it again.
    Deliver(type, event.record, last_of_revision ? event.revision : event.revision - 1);
  }
}

}  // namespace certwright::controller
