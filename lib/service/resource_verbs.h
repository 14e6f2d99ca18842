// ResourceVerbs: Create, Get, List, Update, Delete and Watch of one kind of resource, the same
// for every kind: docs/API.md. A service's methods hand their requests on to it.
//
// The request and response types of all kinds have the same fields (namespace, name,
// page_size, page_token, label_selector, resource_version), so they are template parameters;
// a response's field of the resource itself is told by a pointer to its mutable_ accessor.
//
// Threading: safe from any thread. Lifetime: everything given must outlive the calls.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "certwright/meta/v1/meta.pb.h"
#include "lib/controller/store_watch_source.h"
#include "lib/rpc/label_selector.h"
#include "lib/rpc/status.h"
#include "lib/rpc/validation.h"
#include "lib/rpc/watch_call.h"
#include "lib/service/metadata.h"
#include "lib/store/resource_store.h"

namespace certwright::service {

template <typename T>
struct VerbOptions {
  // "Certificate": for messages.
  std::string kind;
  // No namespace.
  bool cluster = false;
  // Normalises a new or changed resource, fills defaults in and reports every broken rule of
  // its spec. May be empty.
  std::function<void(T& resource, rpc::Violations& violations)> validate = {};
  // What of a valid resource needs a look at the world: its error refuses the resource. May be
  // empty.
  std::function<runtime::Awaitable<absl::Status>(runtime::Context context, const T& resource)>
      check = {};
  // Whether those who make them, services, name an owner; for other kinds nobody may.
  bool owned = false;
  // Takes out what Watch and List must not show. May be empty.
  std::function<void(T& resource)> redact = {};
  // Delete only marks the resource (metadata.delete_time) and leaves the rest to its
  // reconciler.
  bool delete_by_mark = false;
};

template <typename T>
class ResourceVerbs {
 public:
  ResourceVerbs(VerbOptions<T> options, store::ResourceStore<T>& resources,
                const rpc::CallEnvironment& calls)
      : options_(std::move(options)), resources_(resources), calls_(calls) {}

  template <typename Response>
  runtime::Awaitable<absl::StatusOr<Response>> Create(rpc::CallContext call, T resource,
                                                      T* (Response::*field)()) {
    ApplyDefaultNamespace(*resource.mutable_metadata(), options_.cluster);
    CW_CO_RETURN_IF_ERROR(Validate(resource));
    if (options_.check) {
      CW_CO_RETURN_IF_ERROR(co_await options_.check(call.context, resource));
    }
    if constexpr (requires { resource.clear_status(); }) resource.clear_status();
    const meta::v1::ObjectMeta metadata = resource.metadata();
    absl::StatusOr<T> created =
        co_await resources_.Create(call.context, std::move(resource), store::Writer::kUser);
    if (absl::IsAlreadyExists(created.status())) {
      co_return rpc::AlreadyExists(options_.kind, metadata.namespace_(), metadata.name());
    }
    co_return Wrap(std::move(created), field);
  }

  template <typename Response>
  runtime::Awaitable<absl::StatusOr<Response>> Get(rpc::CallContext call,
                                                   std::string resource_namespace,
                                                   std::string name, T* (Response::*field)()) {
    CW_CO_RETURN_IF_ERROR(CheckKey(resource_namespace, name));
    absl::StatusOr<T> resource =
        co_await resources_.Get(call.context, resource_namespace, name);
    co_return Wrap(Named(std::move(resource), resource_namespace, name), field);
  }

  template <typename Response>
  runtime::Awaitable<absl::StatusOr<Response>> Update(rpc::CallContext call, T resource,
                                                      T* (Response::*field)()) {
    ApplyDefaultNamespace(*resource.mutable_metadata(), options_.cluster);
    CW_CO_RETURN_IF_ERROR(Validate(resource));
    if (options_.check) {
      CW_CO_RETURN_IF_ERROR(co_await options_.check(call.context, resource));
    }
    const meta::v1::ObjectMeta metadata = resource.metadata();
    absl::StatusOr<T> updated =
        co_await resources_.Update(call.context, std::move(resource), store::Writer::kUser);
    co_return Wrap(Named(std::move(updated), metadata.namespace_(), metadata.name()), field);
  }

  template <typename Response>
  runtime::Awaitable<absl::StatusOr<Response>> Delete(rpc::CallContext call,
                                                      std::string resource_namespace,
                                                      std::string name) {
    CW_CO_RETURN_IF_ERROR(CheckKey(resource_namespace, name));
    absl::Status deleted;
    if (options_.delete_by_mark) {
      const absl::StatusOr<T> marked =
          co_await resources_.MarkDeleted(call.context, resource_namespace, name);
      deleted = marked.status();
    } else {
      deleted = co_await resources_.Delete(call.context, resource_namespace, name);
    }
    if (absl::IsNotFound(deleted)) {
      co_return rpc::NotFound(options_.kind, resource_namespace, name);
    }
    if (!deleted.ok()) co_return deleted;
    co_return Response();
  }

  // `add` is the response's add_ accessor.
  template <typename Response, typename Request>
  runtime::Awaitable<absl::StatusOr<Response>> List(rpc::CallContext call, Request request,
                                                    T* (Response::*add)()) {
    CW_CO_ASSIGN_OR_RETURN(const int page_size, rpc::PageSize(request.page_size()));
    CW_CO_ASSIGN_OR_RETURN(const rpc::LabelSelector selector,
                           rpc::LabelSelector::Parse(request.label_selector()));
    typename store::ResourceStore<T>::ListOptions list;
    if constexpr (requires { request.namespace_(); }) {
      list.resource_namespace = request.namespace_();
    }
    list.page_size = page_size;
    list.page_token = request.page_token();
    if (!selector.empty()) {
      list.matches = [&selector](const T& resource) {
        return selector.Matches(resource.metadata().labels());
      };
    }
    const rpc::ReadTurns::Turn turn = co_await calls_.read_turns->Take(call.caller);
    if (calls_.call_rate != nullptr) {
      CW_CO_RETURN_IF_ERROR(calls_.call_rate->CheckOwed(call.caller));
    }
    CW_CO_ASSIGN_OR_RETURN(auto page, co_await resources_.List(call.context, std::move(list)));
    Response response;
    for (T& resource : page.resources) {
      if (options_.redact) options_.redact(resource);
      *(response.*add)() = std::move(resource);
    }
    response.set_next_page_token(std::move(page.next_page_token));
    response.set_resource_version(std::move(page.resource_version));
    co_return response;
  }

  template <typename Response, typename Request>
  void Watch(std::shared_ptr<rpc::WatchCall> watch, const Request& request,
             T* (Response::*field)()) {
    absl::StatusOr<Filter> filter = MakeFilter(request);
    if (!filter.ok()) return watch->End(filter.status());
    auto feed = std::make_shared<Feed>();
    {
      base::MutexLock lock(feed->mutex);
      feed->version = request.resource_version();
      feed->listing = request.resource_version().empty();
    }
    const std::weak_ptr<rpc::WatchCall> weak = watch;
    std::shared_ptr<typename controller::WatchSource<T>::Handle> handle =
        MakeSource(watch, *filter)
            .Start(
                request.resource_version(),
                [this, feed, field, weak, filter = *std::move(filter)](
                    controller::EventType type, T resource, std::string version) mutable {
                  const std::shared_ptr<rpc::WatchCall> live = weak.lock();
                  if (live == nullptr) return;
                  if (filter.Admit(type, resource)) {
                    live->Push(MakeEvent(type, std::move(resource), version, field));
                  }
                  // Only now: a heartbeat must not promise what has not been sent.
                  base::MutexLock lock(feed->mutex);
                  if (type == controller::EventType::kBookmark) feed->listing = false;
                  feed->version = std::move(version);
                },
                [weak](absl::Status status) {
                  const std::shared_ptr<rpc::WatchCall> live = weak.lock();
                  if (live == nullptr) return;
                  live->End(status.ok()
                                ? absl::UnavailableError("the watch has ended; watch again")
                                : std::move(status));
                });
    watch->SetHeartbeat([feed](rpc::WatchCall& call) {
      Response bookmark;
      bookmark.set_type(meta::v1::EVENT_TYPE_BOOKMARK);
      base::MutexLock lock(feed->mutex);
      // Not before the first bookmark of the feed itself: that one ends the list.
      if (feed->listing) return;
      bookmark.set_resource_version(feed->version);
      call.Push(bookmark);
    });
    // Ends the feed when gRPC is done with the call, which may be so already.
    watch->SetOnDone([shared = std::move(handle)]() mutable { shared.reset(); });
  }

 private:
  struct Feed {
    base::Mutex mutex;
    std::string version CW_GUARDED_BY(mutex);
    bool listing CW_GUARDED_BY(mutex) = true;
  };

  // Which resources a watch is about. A resource that leaves the selection is shown as
  // deleted.
  struct Filter {
    std::string resource_namespace;
    std::string name;
    rpc::LabelSelector selector;
    // A resumed watcher may know resources from before: what does not match is shown to it
    // as deleted once.
    bool resumed = false;
    // Whether the watcher has a resource, by key; of others it is not known (if resumed) or
    // it does not.
    std::map<std::string, bool> shown;

    // May change `type`.
    bool Admit(controller::EventType& type, const T& resource) {
      if (type == controller::EventType::kBookmark) return true;
      const auto& metadata = resource.metadata();
      if (!resource_namespace.empty() && metadata.namespace_() != resource_namespace)
        return false;
      if (!name.empty() && metadata.name() != name) return false;
      if (selector.empty()) return true;
      const std::string key = store::QueueKey(metadata.namespace_(), metadata.name());
      const auto known = shown.find(key);
      if (type != controller::EventType::kDeleted && selector.Matches(metadata.labels())) {
        if (known == shown.end() || !known->second) type = controller::EventType::kAdded;
        shown[key] = true;
        return true;
      }
      const bool has_it = known == shown.end() ? resumed : known->second;
      // A resumed watch must not tell of it twice; what is gone for good needs no memory.
      if (resumed && type != controller::EventType::kDeleted) {
        shown[key] = false;
      } else if (known != shown.end()) {
        shown.erase(known);
      }
      type = controller::EventType::kDeleted;
      return has_it;
    }
  };

  // Lists no faster than the watcher takes, and may have.
  controller::StoreWatchSource<T> MakeSource(const std::shared_ptr<rpc::WatchCall>& watch,
                                             const Filter& filter) {
    controller::StoreWatchOptions options;
    options.resource_namespace = filter.resource_namespace;
    options.name = filter.name;
    options.events_on = watch->executor();
    options.wait_for_room =
        [weak = std::weak_ptr(watch)]() -> runtime::Awaitable<std::shared_ptr<void>> {
      return WaitForRoom(weak.lock());
    };
    return controller::StoreWatchSource<T>(resources_, watch->executor(), calls_.clock(),
                                           std::move(options));
  }

  static runtime::Awaitable<std::shared_ptr<void>> WaitForRoom(
      std::shared_ptr<rpc::WatchCall> watch) {
    if (watch == nullptr) co_return nullptr;
    co_return std::make_shared<rpc::ReadTurns::Turn>(co_await watch->WaitForRoom());
  }

  template <typename Request>
  absl::StatusOr<Filter> MakeFilter(const Request& request) const {
    Filter filter;
    if constexpr (requires { request.namespace_(); }) {
      filter.resource_namespace = request.namespace_();
    }
    filter.name = request.name();
    filter.resumed = !request.resource_version().empty();
    CW_ASSIGN_OR_RETURN(filter.selector, rpc::LabelSelector::Parse(request.label_selector()));
    return filter;
  }

  template <typename Response>
  Response MakeEvent(controller::EventType type, T resource, std::string version,
                     T* (Response::*field)()) const {
    Response event;
    event.set_type(ToProto(type));
    event.set_resource_version(std::move(version));
    if (type != controller::EventType::kBookmark) {
      if (options_.redact) options_.redact(resource);
      *(event.*field)() = std::move(resource);
    }
    return event;
  }

  template <typename Response>
  static absl::StatusOr<Response> Wrap(absl::StatusOr<T> resource, T* (Response::*field)()) {
    if (!resource.ok()) return resource.status();
    Response response;
    *(response.*field)() = *std::move(resource);
    return response;
  }

  absl::StatusOr<T> Named(absl::StatusOr<T> resource, const std::string& resource_namespace,
                          const std::string& name) const {
    if (!absl::IsNotFound(resource.status())) return resource;
    return rpc::NotFound(options_.kind, resource_namespace, name);
  }

  // Normalises what a user gives.
  absl::Status Validate(T& resource) const {
    rpc::Violations violations;
    CheckMetadata(resource.metadata(), options_.cluster, violations);
    violations.Require(options_.owned || !resource.metadata().has_owner(), "metadata.owner",
                       "must not be given: only the services set it, on what they make");
    if (options_.validate) options_.validate(resource, violations);
    return violations.ToStatus();
  }

  // Fills the default namespace in.
  absl::Status CheckKey(std::string& resource_namespace, const std::string& name) const {
    meta::v1::ObjectMeta metadata;
    metadata.set_namespace_(resource_namespace);
    metadata.set_name(name);
    ApplyDefaultNamespace(metadata, options_.cluster);
    rpc::Violations violations;
    CheckIdentity(metadata, options_.cluster, "", violations);
    resource_namespace = metadata.namespace_();
    return violations.ToStatus();
  }

  const VerbOptions<T> options_;
  store::ResourceStore<T>& resources_;
  const rpc::CallEnvironment& calls_;
};

}  // namespace certwright::service
