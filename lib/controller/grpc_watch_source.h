// GrpcWatchSource: a server-streaming Watch call of another service as a WatchSource.
//
// The reactor only hands messages on; what the callbacks do must be quick, for gRPC has few
// threads. The stream has no deadline: a dead peer is found by the channel's keepalive and
// by the informer's idle timeout.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "lib/base/mutex.h"
#include "lib/controller/watch_source.h"
#include "lib/rpc/status.h"
#include "lib/store/callback_gate.h"

namespace certwright::controller {

template <typename T, typename Request, typename Response>
class GrpcWatchSource final : public WatchSource<T> {
 public:
  using typename WatchSource<T>::Handle;
  using typename WatchSource<T>::OnEnd;
  using typename WatchSource<T>::OnEvent;

  struct Event {
    EventType type = EventType::kBookmark;
    T resource;
    std::string resource_version;
  };
  struct Call {
    // Starts the call: stub.async()->WatchThings(context, request, reactor).
    std::function<void(grpc::ClientContext* context, const Request* request,
                       grpc::ClientReadReactor<Response>* reactor)>
        start;
    std::function<Request(const std::string& resource_version)> make_request;
    std::function<Event(Response response)> to_event;
    // Adds credentials or metadata; may be empty.
    std::function<void(grpc::ClientContext& context)> prepare;
  };

  // What the functions refer to must outlive this and its handles.
  explicit GrpcWatchSource(Call call) : call_(std::move(call)) {}

  std::unique_ptr<Handle> Start(std::string resource_version, OnEvent on_event,
                                OnEnd on_end) override {
    auto reactor = std::make_shared<Reactor>(call_, call_.make_request(resource_version),
                                             std::move(on_event), std::move(on_end));
    reactor->Begin(reactor);
    return std::make_unique<GrpcHandle>(std::move(reactor));
  }

 private:
  class Reactor final : public grpc::ClientReadReactor<Response> {
   public:
    Reactor(const Call& call, Request request, OnEvent on_event, OnEnd on_end)
        : to_event_(call.to_event),
          request_(std::move(request)),
          on_event_(std::move(on_event)),
          on_end_(std::move(on_end)) {
      // A peer that is just being started is waited for, at gRPC's pace of reconnecting.
      context_.set_wait_for_ready(true);
      if (call.prepare) call.prepare(context_);
      start_ = call.start;
    }

    // `self` keeps this alive until OnDone().
    void Begin(std::shared_ptr<Reactor> self) {
      self_ = std::move(self);
      start_(&context_, &request_, this);
      this->StartRead(&response_);
      this->StartCall();
    }

    // Returns when gRPC is done with the call (unless called from within a callback), so that
    // the call, which may hold the last reference to its channel, is not destroyed on a thread
    // of gRPC: that is undefined.
    void Stop() {
      const bool inside = gate_.running_here();
      gate_.Close();
      context_.TryCancel();
      base::MutexLock lock(mutex_);
      while (!done_ && !inside) ended_.wait(mutex_);
    }

    void OnReadDone(bool ok) override {
      if (!ok) return;
      Event event = to_event_(std::move(response_));
      response_.Clear();
      gate_.Run([&] {
        on_event_(event.type, std::move(event.resource), std::move(event.resource_version));
      });
      this->StartRead(&response_);
    }

    void OnDone(const grpc::Status& status) override {
      gate_.Run([&] { on_end_(rpc::FromGrpc(status)); });
      // A handle that is there waits in Stop() for done_, so this lives on; without one the
      // reset destroys it.
      const bool alone = self_.use_count() == 1;
      self_.reset();
      if (alone) return;
      base::MutexLock lock(mutex_);
      done_ = true;
      ended_.notify_all();
    }

   private:
    const std::function<Event(Response)> to_event_;
    const Request request_;
    const OnEvent on_event_;
    const OnEnd on_end_;
    std::function<void(grpc::ClientContext*, const Request*,
                       grpc::ClientReadReactor<Response>*)>
        start_;
    grpc::ClientContext context_;
    Response response_;
    store::CallbackGate gate_;
    base::Mutex mutex_;
    std::condition_variable_any ended_;
    bool done_ CW_GUARDED_BY(mutex_) = false;
    // Keeps this alive until OnDone().
    std::shared_ptr<Reactor> self_;
  };

  class GrpcHandle final : public Handle {
   public:
    explicit GrpcHandle(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}
    ~GrpcHandle() override { reactor_->Stop(); }

   private:
    const std::shared_ptr<Reactor> reactor_;
  };

  const Call call_;
};

}  // namespace certwright::controller
