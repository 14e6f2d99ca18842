// The whole order service over gRPC, between an issuer and a solver service of the test's own.
#include "services/order/order_app.h"

#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "certwright/issuer/v1/issuer.grpc.pb.h"
#include "certwright/order/v1/order.grpc.pb.h"
#include "certwright/solver/v1/challenge.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/http/fake_http_client.h"
#include "lib/pki/csr.h"
#include "lib/rpc/server.h"
#include "lib/runtime/thread_pool.h"
#include "lib/service/conditions.h"

namespace certwright::order {
namespace {

using testing::HasSubstr;

// Sends one bookmark, then what Push() gives it, until the client goes.
template <typename Response>
class Feed {
 public:
  void Push(Response response) {
    std::lock_guard<std::mutex> lock(mutex_);
    pending_.push_back(std::move(response));
    changed_.notify_all();
  }
  void Close() {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  grpc::Status Serve(grpc::ServerWriter<Response>* writer) {
    Response bookmark;
    bookmark.set_type(meta::v1::EVENT_TYPE_BOOKMARK);
    bookmark.set_resource_version("1");
    writer->Write(bookmark);
    std::unique_lock<std::mutex> lock(mutex_);
    while (!closed_) {
      for (const Response& response : pending_) writer->Write(response);
      pending_.clear();
      changed_.wait(lock);
    }
    return grpc::Status::OK;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Response> pending_;
  bool closed_ = false;
};

class FakeIssuerService final : public issuer::v1::IssuerService::Service {
 public:
  Feed<issuer::v1::WatchIssuersResponse> issuers;
  Feed<issuer::v1::WatchClusterIssuersResponse> cluster_issuers;

  grpc::Status WatchIssuers(
      grpc::ServerContext*, const issuer::v1::WatchIssuersRequest*,
      grpc::ServerWriter<issuer::v1::WatchIssuersResponse>* writer) override {
    return issuers.Serve(writer);
  }
  grpc::Status WatchClusterIssuers(
      grpc::ServerContext*, const issuer::v1::WatchClusterIssuersRequest*,
      grpc::ServerWriter<issuer::v1::WatchClusterIssuersResponse>* writer) override {
    return cluster_issuers.Serve(writer);
  }
};

class FakeSolverService final : public solver::v1::ChallengeService::Service {
 public:
  Feed<solver::v1::WatchChallengesResponse> challenges;

  grpc::Status WatchChallenges(
      grpc::ServerContext*, const solver::v1::WatchChallengesRequest*,
      grpc::ServerWriter<solver::v1::WatchChallengesResponse>* writer) override {
    return challenges.Serve(writer);
  }
};

class OrderAppTest : public testing::Test {
 protected:
  OrderAppTest()
      : timers_(runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real())),
        environment_{pool_.executor(), *timers_, base::Random::Real(), http_, metrics_} {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&issuer_service_);
    builder.RegisterService(&solver_service_);
    peers_ = builder.BuildAndStart();
    config_.mutable_store()->mutable_sqlite()->set_path(
        absl::StrCat(std::getenv("TEST_TMPDIR"), "/",
                     testing::UnitTest::GetInstance()->current_test_info()->name(), ".db"));
    config_.mutable_issuer()->set_address(absl::StrCat("127.0.0.1:", port));
    config_.mutable_solver()->set_address(absl::StrCat("127.0.0.1:", port));
    Start();
  }

  ~OrderAppTest() override {
    Stop();
    issuer_service_.issuers.Close();
    issuer_service_.cluster_issuers.Close();
    solver_service_.challenges.Close();
    peers_->Shutdown();
    pool_.Stop();
  }

  void Start() {
    absl::StatusOr<std::unique_ptr<OrderApp>> app = OrderApp::Open(config_, environment_);
    ASSERT_THAT(app, base::IsOk());
    app_ = *std::move(app);
    rpc::ServerOptions options;
    options.listen_address = "127.0.0.1:0";
    absl::StatusOr<std::unique_ptr<rpc::Server>> server =
        rpc::Server::Start(options, app_->calls(), app_->Services());
    ASSERT_THAT(server, base::IsOk());
    server_ = *std::move(server);
    CW_ASSERT_OK(app_->Start());
    stub_ = v1::OrderService::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials()));
  }

  void Stop() {
    app_->calls().watches->EndAll(absl::UnavailableError("going down"));
    app_->StopWork(absl::Seconds(5));
    server_->Shutdown(absl::Seconds(5));
    server_.reset();
    app_.reset();
  }

  void Create(const std::string& name) {
    pki::CsrSpec csr;
    csr.names.dns_names = {"a.test"};
    v1::CreateOrderRequest request;
    v1::Order& order = *request.mutable_order();
    order.mutable_metadata()->set_name(name);
    order.mutable_spec()->set_request(*pki::CreateCsrPem(csr, key_));
    order.mutable_spec()->add_dns_names("a.test");
    order.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    grpc::ClientContext context;
    v1::CreateOrderResponse response;
    const grpc::Status status = stub_->CreateOrder(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.order().metadata().namespace_(), "default");
  }

  // Watches the order until `wanted` holds; false if the watch ends before.
  template <typename Predicate>
  bool WaitFor(const std::string& name, Predicate wanted) {
    grpc::ClientContext context;
    v1::WatchOrdersRequest request;
    request.set_name(name);
    const auto reader = stub_->WatchOrders(&context, request);
    v1::WatchOrdersResponse event;
    while (reader->Read(&event)) {
      if (!wanted(event)) continue;
      context.TryCancel();
      while (reader->Read(&event)) {
      }
      reader->Finish();
      return true;
    }
    ADD_FAILURE() << "the watch ended: " << reader->Finish().error_message();
    return false;
  }
  bool WaitForReason(const std::string& name, const std::string& reason) {
    return WaitFor(name, [&](const v1::WatchOrdersResponse& event) {
      const auto* ready = service::FindCondition(event.order().status().conditions(), "Ready");
      return ready != nullptr && ready->reason() == reason;
    });
  }

  const pki::PrivateKey key_ = *pki::PrivateKey::Generate(pki::KeySpec());
  runtime::ThreadPool pool_{2};
  const std::unique_ptr<runtime::Timers> timers_;
  http::FakeHttpClient http_;
  telemetry::Metrics metrics_;
  const service::Environment environment_;
  FakeIssuerService issuer_service_;
  FakeSolverService solver_service_;
  std::unique_ptr<grpc::Server> peers_;
  config::v1::OrderConfig config_;
  std::unique_ptr<OrderApp> app_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::OrderService::Stub> stub_;
};

TEST_F(OrderAppTest, AnOrderFollowsItsIssuerByEvents) {
  Create("o");
  ASSERT_TRUE(WaitForReason("o", "IssuerNotFound"));
  issuer::v1::WatchIssuersResponse event;
  event.set_type(meta::v1::EVENT_TYPE_ADDED);
  event.set_resource_version("2");
  event.mutable_issuer()->mutable_metadata()->set_namespace_("default");
  event.mutable_issuer()->mutable_metadata()->set_name("ca");
  event.mutable_issuer()->mutable_metadata()->set_generation(1);
  event.mutable_issuer()->mutable_spec()->mutable_acme()->set_server("https://ca.test/dir");
  issuer_service_.issuers.Push(event);
  ASSERT_TRUE(WaitForReason("o", "IssuerNotReady"));
  auto& ready = *event.mutable_issuer()->mutable_status()->add_conditions();
  ready.set_type("Ready");
  ready.set_status(meta::v1::CONDITION_STATUS_TRUE);
  ready.set_observed_generation(1);
  event.set_type(meta::v1::EVENT_TYPE_MODIFIED);
  event.set_resource_version("3");
  issuer_service_.issuers.Push(event);
  // The CA of this test answers nothing.
  EXPECT_TRUE(WaitForReason("o", "ServerUnavailable"));
}

TEST_F(OrderAppTest, ADeletedOrderGoes) {
  Create("o");
  grpc::ClientContext context;
  v1::DeleteOrderRequest request;
  request.set_name("o");
  v1::DeleteOrderResponse response;
  EXPECT_TRUE(stub_->DeleteOrder(&context, request, &response).ok());
  grpc::ClientContext get_context;
  v1::GetOrderRequest get;
  get.set_name("o");
  v1::GetOrderResponse got;
  // Either it is gone already, or the watch shows how it goes.
  if (stub_->GetOrder(&get_context, get, &got).ok()) {
    grpc::ClientContext watch_context;
    v1::WatchOrdersRequest watch;
    watch.set_resource_version(got.order().metadata().resource_version());
    const auto reader = stub_->WatchOrders(&watch_context, watch);
    v1::WatchOrdersResponse event;
    while (reader->Read(&event) && event.type() != meta::v1::EVENT_TYPE_DELETED) {
    }
    EXPECT_EQ(event.type(), meta::v1::EVENT_TYPE_DELETED);
    watch_context.TryCancel();
  }
}

TEST_F(OrderAppTest, OrdersSurviveARestart) {
  Create("o");
  ASSERT_TRUE(WaitForReason("o", "IssuerNotFound"));
  Stop();
  Start();
  grpc::ClientContext context;
  v1::GetOrderRequest request;
  request.set_name("o");
  v1::GetOrderResponse response;
  EXPECT_TRUE(stub_->GetOrder(&context, request, &response).ok());
  EXPECT_EQ(response.order().spec().dns_names(0), "a.test");
}

TEST(ValidateConfigTest, ReportsEveryProblem) {
  config::v1::OrderConfig config;
  config.set_workers(-1);
  config.mutable_retention()->set_seconds(-5);
  const std::vector<std::string> problems = ValidateConfig(config);
  for (const char* field :
       {"server.listen", "store", "issuer.address", "solver.address", "workers", "retention"}) {
    EXPECT_THAT(problems, testing::Contains(HasSubstr(field)));
  }
}

}  // namespace
}  // namespace certwright::order
