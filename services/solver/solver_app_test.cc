#include "services/solver/solver_app.h"

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "lib/base/mutex.h"
#include "lib/base/status_matchers.h"
#include "lib/http/fake_http_client.h"
#include "lib/http/http_server.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"
#include "lib/store/sqlite_store.h"

namespace certwright::solver {
namespace {

using base::StatusIs;
using testing::HasSubstr;

// The service in a process of its own, with an issuer service that nobody can reach.
class SolverAppTest : public testing::Test {
 protected:
  SolverAppTest() { std::filesystem::create_directory(folder_); }
  ~SolverAppTest() override {
    app_.reset();
    pool_.Stop();
    std::filesystem::remove_all(folder_);
  }

  std::unique_ptr<store::Store> OpenStore() {
    return *store::OpenSqliteStore((folder_ / "solver.db").string(), store::SqliteOptions());
  }
  void MakeApp(std::unique_ptr<store::Store> store, SolverOptions options) {
    store_ = store.get();
    app_ = std::make_unique<SolverApp>(
        environment_, std::move(store),
        grpc::CreateChannel("127.0.0.1:1", grpc::InsecureChannelCredentials()),
        std::move(options));
  }
  static runtime::Context Soon() {
    return runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(30));
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() /
      absl::StrCat("solver-app-", base::Random::Real().Uuid());
  runtime::ThreadPool pool_{2};
  const std::unique_ptr<runtime::Timers> timers_ =
      runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real());
  http::FakeHttpClient http_;
  telemetry::Metrics metrics_;
  service::Environment environment_{pool_.executor(), *timers_, base::Random::Real(), http_,
                                    metrics_};
  store::Store* store_ = nullptr;
  std::unique_ptr<SolverApp> app_;
};

TEST_F(SolverAppTest, StartsAndStopsWithoutTheIssuerService) {
  SolverOptions options;
  options.http01_listen = "127.0.0.1:0";
  MakeApp(OpenStore(), options);
  EXPECT_EQ(app_->Services().size(), 4u);
  CW_ASSERT_OK(app_->Start());
  app_->StopWork(absl::Seconds(5));
  app_->StopWork(absl::Seconds(5));
}

// Fault 83.
TEST_F(SolverAppTest, APortInUseIsAStartUpError) {
  CW_ASSERT_OK_AND_ASSIGN(const auto other,
                          http::HttpServer::Start(pool_.executor(), *timers_, "127.0.0.1:0",
                                                  [](const http::HttpServerRequest&) {
                                                    return http::HttpServerResponse();
                                                  }));
  SolverOptions options;
  options.http01_listen = absl::StrCat("127.0.0.1:", other->port());
  MakeApp(OpenStore(), options);
  EXPECT_THAT(app_->Start(),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("http01Listen")));
  other->Stop();
}

// Fault 74.
TEST_F(SolverAppTest, WorksOffTheLedgerOfAProcessThatWasKilled) {
  std::unique_ptr<store::Store> store = OpenStore();
  PresentationStore presentations(*store, kPresentationKind, base::Clock::Real(),
                                  base::Random::Real());
  ledger::Presentation presentation;
  presentation.mutable_metadata()->set_namespace_("default");
  presentation.mutable_metadata()->set_name("gone-1");
  presentation.set_challenge_name("gone");
  presentation.set_challenge_uid("u");
  presentation.set_type(v1::CHALLENGE_TYPE_HTTP01);
  presentation.set_token("t");
  presentation.set_key_authorization("t.k");
  CW_ASSERT_OK(runtime::RunSync(presentations.Create(Soon(), presentation)));
  CW_ASSERT_OK_AND_ASSIGN(const int64_t revision,
                          runtime::RunSync(store->CurrentRevision(Soon())));
  MakeApp(std::move(store), SolverOptions());

  base::Mutex mutex;
  std::condition_variable_any changed;
  bool deleted = false;
  const auto watch = store_->Watch("presentations/", revision, [&](store::WatchUpdate update) {
    base::MutexLock lock(mutex);
    for (const store::Event& event : update.events) {
      deleted |= event.type == store::Event::kDelete;
    }
    changed.notify_all();
  });
  CW_ASSERT_OK(app_->Start());
  {
    base::MutexLock lock(mutex);
    EXPECT_TRUE(changed.wait_for(mutex, std::chrono::seconds(30), [&] { return deleted; }));
  }
  app_->StopWork(absl::Seconds(5));
}

}  // namespace
}  // namespace certwright::solver
