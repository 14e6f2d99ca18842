#include "lib/controller/grpc_watch_source.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "lib/base/mutex.h"
#include "lib/base/random.h"
#include "lib/controller/informer.h"
#include "lib/runtime/thread_pool.h"
#include "lib/store/widget.grpc.pb.h"
#include "lib/store/widget.pb.h"

namespace certwright::controller {
namespace {

using ::certwright::widget::WatchWidgetsRequest;
using ::certwright::widget::WatchWidgetsResponse;
using ::certwright::widget::Widget;
using ::certwright::widget::WidgetService;
using testing::ElementsAre;

using Source = GrpcWatchSource<Widget, WatchWidgetsRequest, WatchWidgetsResponse>;

// Strings that other threads add and a test waits for.
class Notes {
 public:
  void Add(std::string note) {
    base::MutexLock lock(mutex_);
    notes_.push_back(std::move(note));
    changed_.notify_all();
  }
  std::vector<std::string> WaitFor(std::size_t count) {
    base::MutexLock lock(mutex_);
    changed_.wait_for(mutex_, std::chrono::seconds(60),
                      [&]() CW_REQUIRES(mutex_) { return notes_.size() >= count; });
    return notes_;
  }

 private:
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::string> notes_ CW_GUARDED_BY(mutex_);
};

// One open stream: sends what it is given, then ends with a status if given one.
class Stream final : public grpc::ServerWriteReactor<WatchWidgetsResponse> {
 public:
  explicit Stream(Notes& notes) : notes_(notes) {}

  void Send(WatchWidgetsResponse response) {
    base::MutexLock lock(mutex_);
    pending_.push_back(std::move(response));
    if (pending_.size() == 1) StartWrite(&pending_.front());
  }
  void End(grpc::Status status) {
    base::MutexLock lock(mutex_);
    if (!std::exchange(finished_, true)) Finish(std::move(status));
  }

  void OnWriteDone(bool ok) override {
    base::MutexLock lock(mutex_);
    pending_.pop_front();
    if (ok && !pending_.empty()) StartWrite(&pending_.front());
  }
  void OnCancel() override {
    notes_.Add("cancelled");
    End(grpc::Status::CANCELLED);
  }
  void OnDone() override { notes_.Add("done"); }

 private:
  Notes& notes_;
  base::Mutex mutex_;
  bool finished_ CW_GUARDED_BY(mutex_) = false;
  std::deque<WatchWidgetsResponse> pending_ CW_GUARDED_BY(mutex_);
};

class WidgetServer final : public WidgetService::CallbackService {
 public:
  grpc::ServerWriteReactor<WatchWidgetsResponse>* WatchWidgets(
      grpc::CallbackServerContext*, const WatchWidgetsRequest* request) override {
    base::MutexLock lock(mutex_);
    streams_.push_back(std::make_unique<Stream>(notes));
    starts.Add(absl::StrCat("from ", request->resource_version()));
    return streams_.back().get();
  }
  // The newest stream.
  Stream& stream() {
    base::MutexLock lock(mutex_);
    return *streams_.back();
  }

  Notes starts;
  Notes notes;

 private:
  base::Mutex mutex_;
  std::vector<std::unique_ptr<Stream>> streams_ CW_GUARDED_BY(mutex_);
};

WatchWidgetsResponse Response(certwright::meta::v1::EventType type, const std::string& name,
                              const std::string& version) {
  WatchWidgetsResponse response;
  response.set_type(type);
  response.set_resource_version(version);
  if (name.empty()) return response;
  response.mutable_widget()->mutable_metadata()->set_name(name);
  response.mutable_widget()->mutable_metadata()->set_resource_version(version);
  return response;
}

class GrpcWatchSourceTest : public testing::Test {
 protected:
  GrpcWatchSourceTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = WidgetService::NewStub(grpc::CreateChannel(absl::StrCat("127.0.0.1:", port_),
                                                       grpc::InsecureChannelCredentials()));
    Source::Call call;
    call.start = [this](grpc::ClientContext* context, const WatchWidgetsRequest* request,
                        grpc::ClientReadReactor<WatchWidgetsResponse>* reactor) {
      stub_->async()->WatchWidgets(context, request, reactor);
    };
    call.make_request = [](const std::string& version) {
      WatchWidgetsRequest request;
      request.set_resource_version(version);
      return request;
    };
    call.to_event = [](WatchWidgetsResponse response) {
      // Both enumerations are in the same order; the message's has a zero value before.
      return Source::Event{static_cast<EventType>(response.type() - 1),
                           std::move(*response.mutable_widget()), response.resource_version()};
    };
    call.prepare = [this](grpc::ClientContext& context) {
      if (prepare_) prepare_(context);
    };
    source_ = std::make_unique<Source>(std::move(call));
  }
  ~GrpcWatchSourceTest() override {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  std::unique_ptr<Source::Handle> Watch(const std::string& version) {
    return source_->Start(
        version,
        [this](EventType type, const Widget& widget, const std::string& at) {
          seen_.Add(
              absl::StrCat(static_cast<int>(type), " ", widget.metadata().name(), " ", at));
        },
        [this](const absl::Status& status) {
          seen_.Add(absl::StrCat("end ", absl::StatusCodeToString(status.code())));
        });
  }

  int port_ = 0;
  WidgetServer service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<WidgetService::Stub> stub_;
  std::function<void(grpc::ClientContext&)> prepare_;
  std::unique_ptr<Source> source_;
  Notes seen_;
};

TEST_F(GrpcWatchSourceTest, EventsArriveInOrderAndTheEndComesLast) {
  const auto handle = Watch("7");
  EXPECT_THAT(service_.starts.WaitFor(1), ElementsAre("from 7"));
  service_.stream().Send(Response(meta::v1::EVENT_TYPE_ADDED, "a", "8"));
  service_.stream().Send(Response(meta::v1::EVENT_TYPE_MODIFIED, "a", "9"));
  service_.stream().Send(Response(meta::v1::EVENT_TYPE_DELETED, "a", "10"));
  service_.stream().Send(Response(meta::v1::EVENT_TYPE_BOOKMARK, "", "11"));
  EXPECT_THAT(seen_.WaitFor(4), ElementsAre("0 a 8", "1 a 9", "2 a 10", "3  11"));
  service_.stream().End(grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "compacted"));
  EXPECT_EQ(seen_.WaitFor(5).back(), "end OUT_OF_RANGE");
}

TEST_F(GrpcWatchSourceTest, AnUnreachableServerEndsAWatchThatDoesNotWaitForIt) {
  stub_ = WidgetService::NewStub(
      grpc::CreateChannel("unix:/nonexistent/socket", grpc::InsecureChannelCredentials()));
  prepare_ = [](grpc::ClientContext& context) { context.set_wait_for_ready(false); };
  const auto handle = Watch("");
  EXPECT_THAT(seen_.WaitFor(1), ElementsAre("end UNAVAILABLE"));
}

TEST_F(GrpcWatchSourceTest, DestroyingTheHandleCancelsTheCall) {
  auto handle = Watch("");
  service_.starts.WaitFor(1);
  service_.stream().Send(Response(meta::v1::EVENT_TYPE_ADDED, "a", "8"));
  seen_.WaitFor(1);
  handle.reset();
  EXPECT_THAT(service_.notes.WaitFor(2), ElementsAre("cancelled", "done"));
  EXPECT_THAT(seen_.WaitFor(1), ElementsAre("0 a 8"));
}

TEST_F(GrpcWatchSourceTest, AnInformerResumesOverTheNetwork) {
  runtime::ThreadPool pool(1);
  const auto timers = runtime::MakeAsioTimers(pool.executor(), base::Clock::Real());
  {
    Informer<Widget> informer(*source_, *timers, base::Random::Real());
    informer.AddHandler([this](const std::string& key, const Informer<Widget>::Object&,
                               const Informer<Widget>::Object&) { seen_.Add(key); });
    informer.Start();
    service_.starts.WaitFor(1);
    service_.stream().Send(Response(meta::v1::EVENT_TYPE_ADDED, "a", "1"));
    service_.stream().Send(Response(meta::v1::EVENT_TYPE_BOOKMARK, "", "5"));
    service_.stream().Send(Response(meta::v1::EVENT_TYPE_ADDED, "b", "6"));
    EXPECT_THAT(seen_.WaitFor(2), ElementsAre("/a", "/b"));
    EXPECT_TRUE(informer.synced());
    service_.stream().End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining"));
    EXPECT_THAT(service_.starts.WaitFor(2), ElementsAre("from ", "from 6"));
    service_.stream().Send(Response(meta::v1::EVENT_TYPE_DELETED, "a", "7"));
    EXPECT_THAT(seen_.WaitFor(3), ElementsAre("/a", "/b", "/a"));
    EXPECT_EQ(informer.List().size(), 1u);
  }
  pool.Stop();
}

}  // namespace
}  // namespace certwright::controller
