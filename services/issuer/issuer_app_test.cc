// The whole issuer service over gRPC, with a CA of the test's own and no order service.
#include "services/issuer/issuer_app.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "certwright/issuer/v1/issuer.grpc.pb.h"
#include "certwright/issuer/v1/secret.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "lib/acme/fake_ca.h"
#include "lib/base/status_matchers.h"
#include "lib/rpc/server.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"
#include "lib/service/conditions.h"
#include "lib/store/sqlite_store.h"
#include "services/issuer/kinds.h"
#include "services/issuer/sealing.h"

namespace certwright::issuer_service {
namespace {

namespace v1 = issuer::v1;

class IssuerAppTest : public testing::Test {
 protected:
  IssuerAppTest() {
    std::string pattern = absl::StrCat(testing::TempDir(), "/issuer_app_XXXXXX");
    folder_ = mkdtemp(pattern.data());
    config_.mutable_store()->mutable_sqlite()->set_path(folder_ + "/issuer.db");
    // Nobody listens there.
    config_.mutable_order()->set_address("127.0.0.1:1");
  }
  ~IssuerAppTest() override {
    if (app_ != nullptr) {
      app_->calls().watches->EndAll(absl::UnavailableError("the test has ended"));
      app_->StopWork(absl::Seconds(5));
    }
    server_.reset();
    app_.reset();
    pool_.Stop();
    std::filesystem::remove_all(folder_);
  }

  void StartApp() {
    CW_ASSERT_OK_AND_ASSIGN(
        app_, BuildIssuerApp(config_, {pool_.executor(), ca_.timers, base::Random::Real(),
                                       ca_.http, metrics_}));
    rpc::ServerOptions options;
    options.listen_address = "127.0.0.1:0";
    CW_ASSERT_OK_AND_ASSIGN(server_,
                            rpc::Server::Start(options, app_->calls(), app_->Services()));
    CW_ASSERT_OK(app_->Start());
    const auto channel = grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()),
                                             grpc::InsecureChannelCredentials());
    issuers_ = v1::IssuerService::NewStub(channel);
    secrets_ = v1::SecretService::NewStub(channel);
  }
  // What is in the store when the service starts.
  void StoreSecret(const v1::Secret& secret) {
    CW_ASSERT_OK_AND_ASSIGN(
        const auto store,
        store::OpenSqliteStore(config_.store().sqlite().path(), store::SqliteOptions()));
    CW_ASSERT_OK_AND_ASSIGN(const auto sealing, OpenSealing(config_, *store));
    Stores stores(*store, ca_.clock, base::Random::Real(), sealing.get());
    CW_ASSERT_OK(runtime::RunSync(stores.secrets.Create(ca_.context(), secret)));
  }

  static v1::Issuer MakeIssuer(const std::string& name) {
    v1::Issuer issuer;
    issuer.mutable_metadata()->set_namespace_("web");
    issuer.mutable_metadata()->set_name(name);
    v1::AcmeIssuer& acme = *issuer.mutable_spec()->mutable_acme();
    acme.set_server("https://ca.test/directory");
    acme.mutable_private_key_secret_ref()->set_name("key");
    acme.set_disable_account_key_generation(true);
    return issuer;
  }
  static v1::Secret KeySecret() {
    v1::Secret secret;
    secret.mutable_metadata()->set_namespace_("web");
    secret.mutable_metadata()->set_name("key");
    (*secret.mutable_data())["tls.key"] = std::string(acme::TestKey().ToPem().Reveal());
    return secret;
  }
  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  }
  void Create(const v1::Issuer& issuer) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::CreateIssuerRequest request;
    *request.mutable_issuer() = issuer;
    v1::CreateIssuerResponse response;
    const grpc::Status status = issuers_->CreateIssuer(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  void Create(const v1::Secret& secret) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::CreateSecretRequest request;
    *request.mutable_secret() = secret;
    v1::CreateSecretResponse response;
    ASSERT_TRUE(secrets_->CreateSecret(&context, request, &response).ok());
  }
  // Waits until the condition Ready of the Issuer has this reason, and is about `generation`.
  void WaitForReason(const std::string& name, const std::string& reason, int generation = 1,
                     const std::string& resource_namespace = "web") {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::WatchIssuersRequest request;
    request.set_namespace_(resource_namespace);
    request.set_name(name);
    const auto stream = issuers_->WatchIssuers(&context, request);
    v1::WatchIssuersResponse event;
    std::string last;
    while (stream->Read(&event)) {
      const auto* ready = service::FindCondition(event.issuer().status().conditions(), "Ready");
      if (ready == nullptr) continue;
      last = ready->reason();
      if (last == reason && ready->observed_generation() == generation) {
        context.TryCancel();
        stream->Finish();
        return;
      }
    }
    FAIL() << name << " does not get " << reason << "; it is " << last;
  }
  int Registrations() { return ca_.Count("POST", "/new-account"); }

  std::string folder_;
  config::v1::IssuerConfig config_;
  acme::FakeCa ca_;
  // One thread: FakeCa is for one.
  runtime::ThreadPool pool_{1};
  telemetry::Metrics metrics_;
  std::unique_ptr<service::App> app_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::IssuerService::Stub> issuers_;
  std::unique_ptr<v1::SecretService::Stub> secrets_;
};

TEST_F(IssuerAppTest, AFailureIsTriedAgainAfterItsWaitAlthoughItsReportChanges) {
  // CAs put times and numbers of requests into what they say.
  std::atomic<int> failures = 0;
  ca_.OnPost("/new-account", {[&failures](const acme::SentJws& jws) {
               return acme::Refuse(500, absl::StrCat("failure:", ++failures))(jws);
             }});
  StoreSecret(KeySecret());
  StartApp();
  constexpr int kIssuers = 20;
  for (int i = 0; i < kIssuers; ++i) {
    const std::string name = absl::StrCat("ca-", i);
    Create(MakeIssuer(name));
    WaitForReason(name, "ErrRegisterACMEAccount");
  }
  // No time has passed for the first either.
  EXPECT_EQ(Registrations(), kIssuers);
}

TEST(IssuerConfigTest, EveryProblemOfTheApprovalPolicyIsNamed) {
  config::v1::IssuerConfig config;
  config.mutable_server()->set_listen("127.0.0.1:0");
  config.mutable_store()->mutable_sqlite()->set_path("issuer.db");
  config.mutable_order()->set_address("127.0.0.1:1");
  EXPECT_THAT(ValidateIssuerConfig(config), testing::IsEmpty());
  config.mutable_approval()->add_rules()->add_ip_ranges("10.0.0.0/33");
  config.mutable_approval()->add_approvers();
  EXPECT_THAT(ValidateIssuerConfig(config),
              testing::ElementsAre(testing::HasSubstr("approval.rules[0].name: "),
                                   testing::HasSubstr("approval.rules[0].ipRanges[0]: "),
                                   testing::HasSubstr("approval.approvers[0].identity: ")));
}

TEST_F(IssuerAppTest, AChangedSpecIsTriedAtOnce) {
  ca_.OnPost("/new-account", {acme::Refuse(500, "serverInternal"),
                              acme::Reply(201, R"({"status": "valid"})",
                                          {{"Location", "https://ca.test/account/1"}})});
  StoreSecret(KeySecret());
  StartApp();
  v1::Issuer issuer = MakeIssuer("ca");
  Create(issuer);
  WaitForReason("ca", "ErrRegisterACMEAccount");
  issuer.mutable_spec()->mutable_acme()->set_profile("classic");
  grpc::ClientContext context;
  SetDeadline(context);
  v1::UpdateIssuerRequest request;
  *request.mutable_issuer() = issuer;
  v1::UpdateIssuerResponse response;
  ASSERT_TRUE(issuers_->UpdateIssuer(&context, request, &response).ok());
  WaitForReason("ca", "ACMEAccountRegistered", 2);
}

TEST_F(IssuerAppTest, TheSecretThatAnIssuerWaitsForWakesIt) {
  ca_.OnPost("/new-account", {acme::Reply(201, R"({"status": "valid"})",
                                          {{"Location", "https://ca.test/account/1"}})});
  StartApp();
  Create(MakeIssuer("ca"));
  WaitForReason("ca", "AccountKeyMissing");
  Create(KeySecret());
  WaitForReason("ca", "ACMEAccountRegistered");
  EXPECT_EQ(Registrations(), 1);
}

TEST_F(IssuerAppTest, ASecretOfAnotherNamespaceWakesNoIssuer) {
  ca_.OnPost("/new-account", {acme::Refuse(500, "serverInternal")});
  StoreSecret(KeySecret());
  StartApp();
  Create(MakeIssuer("ca"));
  WaitForReason("ca", "ErrRegisterACMEAccount");
  // Behind it in the order in which issuers are woken.
  v1::Issuer other = MakeIssuer("ca");
  other.mutable_metadata()->set_namespace_("zoo");
  Create(other);
  WaitForReason("ca", "AccountKeyMissing", 1, "zoo");
  v1::Secret secret = KeySecret();
  secret.mutable_metadata()->set_namespace_("zoo");
  Create(secret);
  WaitForReason("ca", "ErrRegisterACMEAccount", 1, "zoo");
  EXPECT_EQ(Registrations(), 2);
}

}  // namespace
}  // namespace certwright::issuer_service
