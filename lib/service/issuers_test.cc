#include "lib/service/issuers.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "certwright/issuer/v1/account.grpc.pb.h"
#include "certwright/issuer/v1/issuer.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "lib/base/mutex.h"
#include "lib/base/status_matchers.h"
#include "lib/http/fake_http_client.h"
#include "lib/rpc/server.h"
#include "lib/rpc/service.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"
#include "lib/service/conditions.h"
#include "lib/service/resource_verbs.h"
#include "lib/store/store_testing.h"
#include "lib/store/temporary_store.h"

namespace certwright::service {
namespace {

namespace v1 = issuer::v1;
using base::StatusIs;
using store::Await;
using store::TestContext;
using ::testing::HasSubstr;

constexpr char kDirectory[] = "https://ca.example/directory";

// Serves the watches of issuers from a store.
class WatchedIssuers final : public rpc::Service {
 public:
  WatchedIssuers(const rpc::CallEnvironment& calls, ResourceVerbs<v1::Issuer>& issuers,
                 ResourceVerbs<v1::ClusterIssuer>& cluster_issuers)
      : Service("certwright.issuer.v1.IssuerService", calls) {
    Watch<v1::WatchIssuersRequest>([&issuers](auto watch, const auto& request) {
      issuers.Watch(std::move(watch), request, &v1::WatchIssuersResponse::mutable_issuer);
    });
    Watch<v1::WatchClusterIssuersRequest>([&cluster_issuers](auto watch, const auto& request) {
      cluster_issuers.Watch(std::move(watch), request,
                            &v1::WatchClusterIssuersResponse::mutable_cluster_issuer);
    });
  }
};

// Answers SignJws with the error that was set, or "signed", and keeps the request.
class RecordingAccounts final : public rpc::Service {
 public:
  explicit RecordingAccounts(const rpc::CallEnvironment& calls)
      : Service("certwright.issuer.v1.AccountService", calls) {
    Unary<v1::SignJwsRequest>(
        [this](rpc::CallContext, const auto& request) { return Sign(request); });
  }
  void SetAnswer(absl::Status answer) {
    base::MutexLock lock(mutex_);
    answer_ = std::move(answer);
  }
  v1::SignJwsRequest last() {
    base::MutexLock lock(mutex_);
    return last_;
  }

 private:
  runtime::Awaitable<absl::StatusOr<v1::SignJwsResponse>> Sign(v1::SignJwsRequest request) {
    base::MutexLock lock(mutex_);
    last_ = std::move(request);
    if (!answer_.ok()) co_return answer_;
    v1::SignJwsResponse response;
    response.set_jws("signed");
    co_return response;
  }

  base::Mutex mutex_;
  absl::Status answer_ CW_GUARDED_BY(mutex_);
  v1::SignJwsRequest last_ CW_GUARDED_BY(mutex_);
};

// Counts the calls of Issuers::Changed.
class Changes {
 public:
  void Add(const std::string& issuer) {
    base::MutexLock lock(mutex_);
    ++counts_[issuer];
    changed_.notify_all();
  }
  // Whether `issuer` has been told of `count` times.
  bool WaitFor(const std::string& issuer, int count) {
    base::MutexLock lock(mutex_);
    return changed_.wait_for(mutex_, std::chrono::seconds(60),
                             [&]() CW_REQUIRES(mutex_) { return counts_[issuer] >= count; });
  }

 private:
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, int> counts_ CW_GUARDED_BY(mutex_);
};

template <typename T>
T MakeIssuer(const std::string& name, const std::string& resource_namespace,
             const std::string& server = kDirectory) {
  T issuer;
  issuer.mutable_metadata()->set_name(name);
  issuer.mutable_metadata()->set_namespace_(resource_namespace);
  issuer.mutable_spec()->mutable_acme()->set_server(server);
  return issuer;
}

meta::v1::IssuerRef Ref(const std::string& name,
                        meta::v1::IssuerKind kind = meta::v1::ISSUER_KIND_UNSPECIFIED) {
  meta::v1::IssuerRef ref;
  ref.set_name(name);
  ref.set_kind(kind);
  return ref;
}

class IssuersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    rpc::ServerOptions options;
    options.listen_address = "127.0.0.1:0";
    CW_ASSERT_OK_AND_ASSIGN(server_,
                            rpc::Server::Start(options, calls_, {&watches_, &accounts_}));
    issuers_ = std::make_unique<Issuers>(
        Environment{pool_.executor(), *timers_, base::Random::Real(), http_, metrics_},
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()),
                            grpc::InsecureChannelCredentials()),
        [this](const std::string& issuer) { changes_.Add(issuer); });
  }
  void TearDown() override {
    issuers_.reset();
    calls_.watches->EndAll(absl::UnavailableError("the test is over"));
    server_.reset();
  }

  void StartAndSync() {
    issuers_->Start();
    CW_ASSERT_OK(runtime::RunSyncOn(pool_.executor(), issuers_->WaitForSync(TestContext())));
  }

  template <typename T>
  void Store(store::ResourceStore<T>& resources, const T& issuer) {
    CW_ASSERT_OK(Await(resources.Create(TestContext(), issuer)));
  }
  // As the issuer service does when the CA has answered.
  template <typename T>
  void SetReady(store::ResourceStore<T>& resources, const T& issuer, bool ready,
                const std::string& message = "") {
    const auto& metadata = issuer.metadata();
    CW_ASSERT_OK_AND_ASSIGN(
        T stored, Await(resources.Get(TestContext(), metadata.namespace_(), metadata.name())));
    auto& status = *stored.mutable_status();
    SetCondition(*status.mutable_conditions(), {"Ready", ready, "Test", message},
                 stored.metadata().generation(), absl::UnixEpoch());
    status.mutable_acme()->set_uri(absl::StrCat("https://ca.example/acct/", metadata.name()));
    status.mutable_acme()->set_account_key_thumbprint("thumbprint");
    CW_ASSERT_OK(Await(resources.UpdateStatus(TestContext(), stored)));
  }
  // An Issuer in namespace "web" that is Ready, once that is known.
  std::shared_ptr<const AcmeAccount> ReadyAccount(const std::string& name,
                                                  const std::string& server = kDirectory) {
    const auto issuer = MakeIssuer<v1::Issuer>(name, "web", server);
    Store(issuer_store_, issuer);
    SetReady(issuer_store_, issuer, true);
    EXPECT_TRUE(changes_.WaitFor(absl::StrCat("Issuer web/", name), 2));
    const auto found = issuers_->Find(Ref(name), "web");
    EXPECT_THAT(found, base::IsOk());
    return found.value_or(nullptr);
  }

  // Order matters: what calls and coroutines use ends after them.
  store::TemporaryStore temporary_store_;
  store::ResourceStore<v1::Issuer> issuer_store_{*temporary_store_, "issuers",
                                                 base::Clock::Real(), base::Random::Real()};
  store::ResourceStore<v1::ClusterIssuer> cluster_issuer_store_{
      *temporary_store_, "clusterissuers", base::Clock::Real(), base::Random::Real()};
  http::FakeHttpClient http_;
  telemetry::Metrics metrics_;
  Changes changes_;
  runtime::ThreadPool pool_{2};
  std::unique_ptr<runtime::Timers> timers_ =
      runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real());
  rpc::CallEnvironment calls_{pool_.executor(), *timers_};
  ResourceVerbs<v1::Issuer> issuer_verbs_{VerbOptions<v1::Issuer>{.kind = "Issuer"},
                                          issuer_store_, calls_};
  ResourceVerbs<v1::ClusterIssuer> cluster_issuer_verbs_{
      VerbOptions<v1::ClusterIssuer>{.kind = "ClusterIssuer", .cluster = true},
      cluster_issuer_store_, calls_};
  WatchedIssuers watches_{calls_, issuer_verbs_, cluster_issuer_verbs_};
  RecordingAccounts accounts_{calls_};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<Issuers> issuers_;
};

TEST_F(IssuersTest, UnknownIssuersAreUnavailableBeforeTheFirstSyncAndNotFoundAfterIt) {
  EXPECT_THAT(issuers_->Find(Ref("ca"), "web"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Issuer web/ca")));
  StartAndSync();
  EXPECT_THAT(issuers_->Find(Ref("ca"), "web"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Issuer web/ca")));
}

TEST_F(IssuersTest, AnIssuerThatBecomesReadyIsFound) {
  StartAndSync();
  const auto issuer = MakeIssuer<v1::Issuer>("ca", "web");
  Store(issuer_store_, issuer);
  ASSERT_TRUE(changes_.WaitFor("Issuer web/ca", 1));
  EXPECT_THAT(issuers_->Find(Ref("ca"), "web"),
              StatusIs(absl::StatusCode::kFailedPrecondition, "Issuer web/ca is not ready"));
  SetReady(issuer_store_, issuer, false, "The CA refused the contact.");
  ASSERT_TRUE(changes_.WaitFor("Issuer web/ca", 2));
  EXPECT_THAT(issuers_->Find(Ref("ca"), "web"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "Issuer web/ca is not ready: The CA refused the contact."));
  SetReady(issuer_store_, issuer, true);
  ASSERT_TRUE(changes_.WaitFor("Issuer web/ca", 3));
  CW_ASSERT_OK_AND_ASSIGN(const auto account, issuers_->Find(Ref("ca"), "web"));
  EXPECT_EQ(account->spec.server(), kDirectory);
  EXPECT_EQ(account->uri, "https://ca.example/acct/ca");
  EXPECT_EQ(account->key_thumbprint, "thumbprint");
  ASSERT_NE(account->client, nullptr);
  EXPECT_EQ(account->client->options().directory_url, kDirectory);
  // Only in its own namespace.
  EXPECT_THAT(issuers_->Find(Ref("ca"), "db"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(issuers_->Find(Ref("ca", meta::v1::ISSUER_KIND_CLUSTER_ISSUER), "web"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(IssuersTest, WhatExistsAtTheStartIsKnownAfterTheSync) {
  const auto issuer = MakeIssuer<v1::Issuer>("ca", "web");
  Store(issuer_store_, issuer);
  SetReady(issuer_store_, issuer, true);
  StartAndSync();
  EXPECT_THAT(issuers_->Find(Ref("ca"), "web"), base::IsOk());
}

TEST_F(IssuersTest, AChangedSpecIsNotReadyUntilItWasLookedAt) {
  StartAndSync();
  ASSERT_NE(ReadyAccount("ca"), nullptr);
  const auto changed = MakeIssuer<v1::Issuer>("ca", "web", "https://other.example/directory");
  CW_ASSERT_OK(Await(issuer_store_.Update(TestContext(), changed)));
  ASSERT_TRUE(changes_.WaitFor("Issuer web/ca", 3));
  EXPECT_THAT(issuers_->Find(Ref("ca"), "web"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not ready")));
  SetReady(issuer_store_, changed, true);
  ASSERT_TRUE(changes_.WaitFor("Issuer web/ca", 4));
  CW_ASSERT_OK_AND_ASSIGN(const auto account, issuers_->Find(Ref("ca"), "web"));
  EXPECT_EQ(account->client->options().directory_url, "https://other.example/directory");
}

TEST_F(IssuersTest, ADeletedIssuerIsNotFoundButItsAccountLivesOn) {
  StartAndSync();
  const auto account = ReadyAccount("ca");
  ASSERT_NE(account, nullptr);
  CW_ASSERT_OK(Await(issuer_store_.Delete(TestContext(), "web", "ca")));
  ASSERT_TRUE(changes_.WaitFor("Issuer web/ca", 3));
  EXPECT_THAT(issuers_->Find(Ref("ca"), "web"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(account->uri, "https://ca.example/acct/ca");
}

TEST_F(IssuersTest, AnIssuerOfAnotherTypeIsNoAcmeIssuer) {
  StartAndSync();
  auto issuer = MakeIssuer<v1::Issuer>("ca", "web");
  issuer.mutable_spec()->mutable_self_signed();
  Store(issuer_store_, issuer);
  ASSERT_TRUE(changes_.WaitFor("Issuer web/ca", 1));
  EXPECT_THAT(
      issuers_->Find(Ref("ca"), "web"),
      StatusIs(absl::StatusCode::kFailedPrecondition, "Issuer web/ca is not an ACME issuer"));
}

TEST_F(IssuersTest, AClusterIssuerIsFoundFromEveryNamespace) {
  StartAndSync();
  const auto issuer = MakeIssuer<v1::ClusterIssuer>("ca", "");
  Store(cluster_issuer_store_, issuer);
  SetReady(cluster_issuer_store_, issuer, true);
  ASSERT_TRUE(changes_.WaitFor("ClusterIssuer ca", 2));
  for (const char* resource_namespace : {"web", "db"}) {
    EXPECT_THAT(
        issuers_->Find(Ref("ca", meta::v1::ISSUER_KIND_CLUSTER_ISSUER), resource_namespace),
        base::IsOk());
  }
  EXPECT_THAT(issuers_->Find(Ref("ca"), "web"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(IssuersTest, IssuersOfOneDirectoryShareAClient) {
  StartAndSync();
  const auto first = ReadyAccount("first");
  const auto second = ReadyAccount("second");
  const auto other = ReadyAccount("other", "https://other.example/directory");
  ASSERT_TRUE(first != nullptr && second != nullptr && other != nullptr);
  EXPECT_EQ(first->client, second->client);
  EXPECT_NE(first->client, other->client);
}

TEST_F(IssuersTest, TheSignerHasTheIssuerServiceSign) {
  StartAndSync();
  const auto account = ReadyAccount("ca");
  ASSERT_NE(account, nullptr);
  acme::SignRequest request;
  request.url = "https://ca.example/new-order";
  request.nonce = "nonce";
  request.payload = "{}";
  const auto sign = [&] {
    return runtime::RunSyncOn(pool_.executor(), account->signer->Sign(TestContext(), request));
  };
  CW_ASSERT_OK_AND_ASSIGN(const acme::SignedRequest answer, sign());
  EXPECT_EQ(answer.body, "signed");
  const v1::SignJwsRequest sent = accounts_.last();
  EXPECT_EQ(sent.issuer_ref().name(), "ca");
  EXPECT_EQ(sent.issuer_ref().kind(), meta::v1::ISSUER_KIND_ISSUER);
  EXPECT_EQ(sent.namespace_(), "web");
  EXPECT_EQ(sent.url(), "https://ca.example/new-order");
  EXPECT_EQ(sent.nonce(), "nonce");
  EXPECT_EQ(sent.payload(), "{}");

  // NOT_FOUND would be read as the CA's.
  accounts_.SetAnswer(absl::NotFoundError("Issuer web/ca does not exist"));
  EXPECT_THAT(sign(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("does not exist")));
  accounts_.SetAnswer(absl::PermissionDeniedError("not this URL"));
  EXPECT_THAT(sign(), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("not this URL")));
}

}  // namespace
}  // namespace certwright::service
