#include "services/solver/challenge_service.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "certwright/solver/v1/challenge.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "lib/base/mutex.h"
#include "lib/base/status_matchers.h"
#include "lib/rpc/server.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"
#include "lib/service/conditions.h"
#include "lib/store/sqlite_store.h"

namespace certwright::solver {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const char kToken[] = "0123456789012345678901";

v1::Challenge MakeChallenge() {
  v1::Challenge challenge;
  challenge.mutable_metadata()->set_name("c");
  v1::ChallengeSpec& spec = *challenge.mutable_spec();
  spec.set_url("https://ca.test/chall/1");
  spec.set_authorization_url("https://ca.test/authz/1");
  spec.set_dns_name("www.example.test");
  spec.set_type(v1::CHALLENGE_TYPE_DNS01);
  spec.set_token(kToken);
  spec.set_key("47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
  spec.mutable_issuer_ref()->set_name("ca");
  spec.set_solver_name("dns");
  return challenge;
}

std::vector<std::string> BrokenFields(v1::Challenge challenge) {
  rpc::Violations violations;
  ValidateChallenge(challenge, violations);
  std::vector<std::string> fields;
  for (const rpc::FieldViolation& violation : violations.all())
    fields.push_back(violation.field);
  return fields;
}

TEST(ValidateChallengeTest, AcceptsBothTypes) {
  EXPECT_THAT(BrokenFields(MakeChallenge()), IsEmpty());
  v1::Challenge http = MakeChallenge();
  http.mutable_spec()->set_type(v1::CHALLENGE_TYPE_HTTP01);
  http.mutable_spec()->set_key(
      absl::StrCat(kToken, ".47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"));
  EXPECT_THAT(BrokenFields(http), IsEmpty());
  http.mutable_spec()->set_dns_name("2001:db8::1");
  EXPECT_THAT(BrokenFields(http), IsEmpty());
}

// "aaa….aaa….example.test" of just that length.
std::string NameOfLength(std::size_t length) {
  std::string name = ".example.test";
  while (name.size() + 61 < length) name = "." + std::string(59, 'a') + name;
  return std::string(length - name.size(), 'b') + name;
}

TEST(ValidateChallengeTest, TakesALongNameThatItsRecordFitsInto) {
  v1::Challenge challenge = MakeChallenge();
  challenge.mutable_spec()->set_dns_name(NameOfLength(237));
  EXPECT_THAT(BrokenFields(challenge), IsEmpty());
}

TEST(ValidateChallengeTest, NamesTheFieldThatBreaksARule) {
  struct Case {
    const char* field;
    std::function<void(v1::ChallengeSpec&)> spoil;
  };
  const Case cases[] = {
      {"spec.url", [](auto& s) { s.set_url("http://ca.test/1"); }},
      {"spec.url", [](auto& s) { s.clear_url(); }},
      {"spec.authorizationUrl", [](auto& s) { s.set_authorization_url("ca.test/1"); }},
      {"spec.dnsName", [](auto& s) { s.set_dns_name("*.example.test"); }},
      {"spec.dnsName", [](auto& s) { s.set_dns_name("Example.test"); }},
      {"spec.dnsName", [](auto& s) { s.set_dns_name("example.test."); }},
      {"spec.dnsName", [](auto& s) { s.set_dns_name("192.0.2.1"); }},
      {"spec.dnsName", [](auto& s) { s.clear_dns_name(); }},
      {"spec.dnsName", [](auto& s) { s.set_dns_name(NameOfLength(238)); }},
      {"spec.token", [](auto& s) { s.set_token("short"); }},
      {"spec.token", [](auto& s) { s.set_token("../../../../etc/passwd-aaaa"); }},
      {"spec.key", [](auto& s) { s.set_key("short"); }},
      {"spec.key", [](auto& s) { s.set_key("+7DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"); }},
      {"spec.type", [](auto& s) { s.clear_type(); }},
      {"spec.type", [](auto& s) { s.set_type(v1::CHALLENGE_TYPE_TLSALPN01); }},
      {"spec.issuerRef.name", [](auto& s) { s.clear_issuer_ref(); }},
      {"spec.solverName", [](auto& s) { s.clear_solver_name(); }},
      {"spec.notAfter", [](auto& s) { s.mutable_not_after()->set_seconds(-5); }},
  };
  for (const Case& c : cases) {
    v1::Challenge challenge = MakeChallenge();
    c.spoil(*challenge.mutable_spec());
    EXPECT_THAT(BrokenFields(challenge), ElementsAre(c.field));
  }
}

TEST(ValidateChallengeTest, ForHttp01TheKeyBelongsToTheTokenAndThereIsNoWildcard) {
  v1::Challenge http = MakeChallenge();
  http.mutable_spec()->set_type(v1::CHALLENGE_TYPE_HTTP01);
  http.mutable_spec()->set_key(
      absl::StrCat("x", kToken, ".47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"));
  http.mutable_spec()->set_wildcard(true);
  EXPECT_THAT(BrokenFields(http), ElementsAre("spec.wildcard", "spec.key"));
}

TEST(ValidateChallengeTest, NamesAllAtOnce) {
  EXPECT_THAT(BrokenFields(v1::Challenge()),
              ElementsAre("spec.url", "spec.authorizationUrl", "spec.dnsName", "spec.token",
                          "spec.type", "spec.issuerRef.name", "spec.solverName"));
}

class ChallengeServiceTest : public testing::Test {
 protected:
  ChallengeServiceTest() {
    std::filesystem::create_directory(folder_);
    store_ = *store::OpenSqliteStore((folder_ / "s.db").string(), store::SqliteOptions());
    challenges_ = std::make_unique<ChallengeStore>(*store_, kChallengeKind, base::Clock::Real(),
                                                   base::Random::Real());
    service_ = std::make_unique<ChallengeService>(calls_, *challenges_,
                                                  [this](const std::string& key) {
                                                    base::MutexLock lock(mutex_);
                                                    retried_.push_back(key);
                                                  });
    rpc::ServerOptions options;
    options.listen_address = "127.0.0.1:0";
    server_ = *rpc::Server::Start(options, calls_, {service_.get()});
    stub_ = v1::ChallengeService::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials()));
  }
  ~ChallengeServiceTest() override {
    calls_.watches->EndAll(absl::UnavailableError("the test ends"));
    server_.reset();
    pool_.Stop();
    service_.reset();
    challenges_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::vector<std::string> Retried() {
    base::MutexLock lock(mutex_);
    return retried_;
  }
  grpc::Status Create() {
    grpc::ClientContext context;
    v1::CreateChallengeRequest request;
    *request.mutable_challenge() = MakeChallenge();
    v1::CreateChallengeResponse response;
    return stub_->CreateChallenge(&context, request, &response);
  }
  grpc::Status Retry(const std::string& name) {
    grpc::ClientContext context;
    v1::RetryChallengeRequest request;
    request.set_name(name);
    v1::RetryChallengeResponse response;
    const grpc::Status status = stub_->RetryChallenge(&context, request, &response);
    retry_response_ = response;
    return status;
  }
  void SetState(v1::ChallengeState state) {
    const auto context = runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(30));
    v1::Challenge challenge = MakeChallenge();
    challenge.mutable_metadata()->set_namespace_("default");
    challenge.mutable_status()->set_state(state);
    CW_ASSERT_OK(runtime::RunSync(challenges_->UpdateStatus(context, challenge)));
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() /
      absl::StrCat("challenge-service-", base::Random::Real().Uuid());
  runtime::ThreadPool pool_{1};
  const std::unique_ptr<runtime::Timers> timers_ =
      runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real());
  rpc::CallEnvironment calls_{pool_.executor(), *timers_};
  std::unique_ptr<store::SqliteStore> store_;
  std::unique_ptr<ChallengeStore> challenges_;
  base::Mutex mutex_;
  std::vector<std::string> retried_ CW_GUARDED_BY(mutex_);
  std::unique_ptr<ChallengeService> service_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::ChallengeService::Stub> stub_;
  v1::RetryChallengeResponse retry_response_;
};

TEST_F(ChallengeServiceTest, ServesItsVerbs) {
  EXPECT_TRUE(Create().ok());
  EXPECT_EQ(Create().error_code(), grpc::StatusCode::ALREADY_EXISTS);
  {
    grpc::ClientContext context;
    v1::GetChallengeRequest request;
    request.set_name("c");
    v1::GetChallengeResponse response;
    EXPECT_TRUE(stub_->GetChallenge(&context, request, &response).ok());
    EXPECT_EQ(response.challenge().metadata().namespace_(), "default");
    EXPECT_EQ(response.challenge().spec().dns_name(), "www.example.test");
  }
  {
    grpc::ClientContext context;
    v1::ListChallengesResponse response;
    EXPECT_TRUE(stub_->ListChallenges(&context, {}, &response).ok());
    EXPECT_EQ(response.challenges_size(), 1);
  }
  {
    grpc::ClientContext context;
    auto reader = stub_->WatchChallenges(&context, {});
    v1::WatchChallengesResponse event;
    ASSERT_TRUE(reader->Read(&event));
    EXPECT_EQ(event.type(), meta::v1::EVENT_TYPE_ADDED);
    EXPECT_EQ(event.challenge().metadata().name(), "c");
    context.TryCancel();
  }
  grpc::ClientContext context;
  v1::DeleteChallengeRequest request;
  request.set_name("c");
  v1::DeleteChallengeResponse response;
  EXPECT_TRUE(stub_->DeleteChallenge(&context, request, &response).ok());
  grpc::ClientContext again;
  EXPECT_EQ(stub_->DeleteChallenge(&again, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(ChallengeServiceTest, ListsThoseOfGivenNames) {
  ASSERT_TRUE(Create().ok());
  const auto list = [this](const v1::ListChallengesRequest& request,
                           v1::ListChallengesResponse& response) {
    grpc::ClientContext context;
    return stub_->ListChallenges(&context, request, &response);
  };
  v1::ListChallengesRequest request;
  request.set_namespace_("default");
  request.add_names("absent");
  request.add_names("c");
  v1::ListChallengesResponse response;
  ASSERT_TRUE(list(request, response).ok());
  ASSERT_EQ(response.challenges_size(), 1);
  EXPECT_EQ(response.challenges(0).metadata().name(), "c");
  request.set_namespace_("other");
  ASSERT_TRUE(list(request, response).ok());
  EXPECT_EQ(response.challenges_size(), 0);

  request.set_page_size(1);
  request.set_namespace_("");
  request.set_names(0, "no/name");
  while (request.names_size() <= 100) request.add_names("c");
  const grpc::Status status = list(request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  for (const char* rule : {"namespace: ", "names[0]: ", "at most 100", "neither pages"}) {
    EXPECT_THAT(status.error_message(), HasSubstr(rule));
  }
}

TEST_F(ChallengeServiceTest, AnInvalidChallengeIsRefused) {
  grpc::ClientContext context;
  v1::CreateChallengeRequest request;
  request.mutable_challenge()->mutable_metadata()->set_name("c");
  v1::CreateChallengeResponse response;
  const grpc::Status status = stub_->CreateChallenge(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("spec.authorizationUrl"));
}

TEST_F(ChallengeServiceTest, RetryMakesItDueNow) {
  ASSERT_TRUE(Create().ok());
  EXPECT_TRUE(Retry("c").ok());
  EXPECT_THAT(Retried(), ElementsAre("default/c"));
  const absl::Time due =
      service::FromProto(retry_response_.challenge().status().next_check_time());
  EXPECT_LE(due, absl::Now());
  EXPECT_GT(due, absl::Now() - absl::Minutes(1));
}

TEST_F(ChallengeServiceTest, RetryOfWhatIsFinishedOrAbsentIsRefused) {
  EXPECT_EQ(Retry("c").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Retry("").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  ASSERT_TRUE(Create().ok());
  SetState(v1::CHALLENGE_STATE_INVALID);
  const grpc::Status status = Retry("c");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("is finished"));
  EXPECT_THAT(Retried(), IsEmpty());
}

}  // namespace
}  // namespace certwright::solver
