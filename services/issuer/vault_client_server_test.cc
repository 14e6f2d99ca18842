// VaultClient over TLS against a FakeVault.
#include <functional>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/http/curl_http_client.h"
#include "lib/http/test_server.h"
#include "lib/pki/certificate.h"
#include "lib/pki/csr.h"
#include "lib/pki/test_ca.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"
#include "services/issuer/fake_vault.h"
#include "services/issuer/vault_client.h"

namespace certwright::issuer_service {
namespace {

using absl::StatusCode;
using base::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class VaultClientServerTest : public testing::Test {
 protected:
  using Result = absl::StatusOr<VaultCertificate>;

  VaultClientServerTest() {
    pki::CsrSpec spec;
    spec.subject.common_name = "a.example";
    spec.names.dns_names = {"a.example", "b.example"};
    spec.names.ip_addresses = {"192.0.2.1"};
    request_.csr_pem = *pki::CreateCsrPem(spec, key_);
    request_.common_name = spec.subject.common_name;
    request_.names = spec.names;
    request_.duration = absl::Hours(2);
  }
  ~VaultClientServerTest() override {
    pool_.Stop();
    client_.reset();
    http_.reset();
  }

  void Serve(http::TestConnection& connection) {
    while (true) {
      const std::string text = connection.ReadRequest();
      if (text.empty()) return;
      const FakeVault::Request request = FakeVault::ParseRequest(text);
      if (on_login_ && absl::EndsWith(request.target, "/login")) on_login_();
      const FakeVault::Answer answer = vault_.Handle(request);
      if (!connection.Answer(answer.status, answer.body)) return;
    }
  }

  void UseToken(const std::string& token) {
    VaultOptions options = Options();
    options.auth.token = base::Secret(std::string(token));
    Use(std::move(options));
  }
  void UseAppRole(const std::string& secret_id = FakeVault::kSecretId) {
    VaultOptions options = Options();
    VaultAppRoleLogin& role = options.auth.app_role.emplace();
    role.path = "machines";
    role.role_id = FakeVault::kRoleId;
    role.secret_id = base::Secret(std::string(secret_id));
    Use(std::move(options));
  }

  runtime::Context NewContext(std::shared_ptr<runtime::Cancellation> cancellation = nullptr) {
    return runtime::Context(clock_, clock_.MonotonicNow() + absl::Minutes(1),
                            std::move(cancellation));
  }
  std::future<Result> StartSign(std::shared_ptr<runtime::Cancellation> cancellation = nullptr) {
    auto promise = std::make_shared<std::promise<Result>>();
    runtime::SpawnThen<Result>(
        pool_.executor(), client_->Sign(NewContext(std::move(cancellation)), request_),
        [promise](Result result) { promise->set_value(std::move(result)); });
    return promise->get_future();
  }
  Result Sign() { return StartSign().get(); }
  absl::Status CheckHealth() {
    return runtime::RunSyncOn(pool_.executor(), client_->CheckHealth(NewContext()));
  }

  base::FakeClock clock_;
  runtime::FakeTimers timers_{clock_};
  FakeVault vault_{clock_};
  // Called before each login is answered; set before the first request.
  std::function<void()> on_login_;
  const pki::TestCa tls_ca_{"TLS Root"};
  http::TestServer server_{[this](http::TestConnection& connection) { Serve(connection); },
                           http::TestServer::Tls{tls_ca_.Issue(Loopback())}};
  runtime::ThreadPool pool_{2};
  std::unique_ptr<http::HttpClient> http_ =
      http::MakeCurlHttpClient(pool_.executor(), timers_, {});
  std::unique_ptr<VaultClient> client_;
  const pki::PrivateKey key_ = *pki::PrivateKey::Generate({});
  VaultSignRequest request_;

 private:
  static pki::SubjectAltNames Loopback() {
    pki::SubjectAltNames names;
    names.ip_addresses = {"127.0.0.1"};
    return names;
  }
  VaultOptions Options() const {
    VaultOptions options;
    options.server = server_.Url("/");
    options.path = "pki_int/sign/web";
    options.vault_namespace = "team";
    options.ca_bundle_pem = tls_ca_.root().Pem();
    return options;
  }
  void Use(VaultOptions options) {
    absl::StatusOr<std::unique_ptr<VaultClient>> client =
        VaultClient::Create(*http_, timers_, std::move(options));
    CW_ASSERT_OK(client);
    client_ = *std::move(client);
  }
};

TEST_F(VaultClientServerTest, WhatItSignsIsWhatWasAskedFor) {
  UseAppRole();
  CW_ASSERT_OK_AND_ASSIGN(const VaultCertificate signed_by_vault, Sign());
  std::string chain_pem = signed_by_vault.certificate_pem;
  for (const std::string& pem : signed_by_vault.chain_pem) chain_pem += pem;
  CW_ASSERT_OK_AND_ASSIGN(const std::vector<pki::Certificate> chain,
                          pki::ParseChainPem(chain_pem));
  const pki::PublicKey public_key = key_.public_key();
  pki::ChainExpectation expected;
  expected.public_key = &public_key;
  expected.names = request_.names;
  expected.now = clock_.Now();
  CW_EXPECT_OK(pki::VerifyIssuedChain(chain, expected));
  CW_EXPECT_OK(pki::VerifyAgainstRoots(chain, {vault_.root().certificate()}, clock_.Now()));
  EXPECT_EQ(chain.front().not_after, clock_.Now() + absl::Hours(2));
  EXPECT_THAT(signed_by_vault.chain_pem,
              ElementsAre(vault_.intermediate().certificate().Pem()));
  EXPECT_EQ(signed_by_vault.ca_pem, vault_.root().certificate().Pem());
}

TEST_F(VaultClientServerTest, ATokenThatWasGivenNeedsNoLogin) {
  vault_.AddToken("hvs.given");
  UseToken("hvs.given");
  CW_EXPECT_OK(Sign());
  EXPECT_EQ(vault_.logins(), 0);
  vault_.RevokeTokens();
  EXPECT_THAT(Sign(), StatusIs(StatusCode::kPermissionDenied, HasSubstr("permission denied")));
  EXPECT_EQ(vault_.refusals(), 1);
}

TEST_F(VaultClientServerTest, TheRoleRefusesForEver) {
  UseAppRole();
  request_.names.dns_names.push_back("c.test");
  EXPECT_THAT(Sign(), StatusIs(StatusCode::kInvalidArgument,
                               HasSubstr("c.test not allowed by this role")));
}

TEST_F(VaultClientServerTest, ConcurrentCallersShareOneLogin) {
  UseAppRole();
  std::vector<std::future<Result>> results;
  for (int i = 0; i < 8; ++i) results.push_back(StartSign());
  for (std::future<Result>& result : results) CW_EXPECT_OK(result.get());
  EXPECT_EQ(vault_.logins(), 1);
}

TEST_F(VaultClientServerTest, ACallerThatLeavesDuringItsLoginLeavesItToTheNext) {
  std::promise<void> asked;
  std::promise<void> released;
  std::shared_future<void> release = released.get_future().share();
  bool first = true;
  on_login_ = [&asked, &first, release] {
    if (!std::exchange(first, false)) return;
    asked.set_value();
    release.wait();
  };
  UseAppRole();
  auto cancellation = std::make_shared<runtime::Cancellation>();
  std::future<Result> leaving = StartSign(cancellation);
  asked.get_future().wait();
  std::future<Result> staying = StartSign();
  cancellation->Cancel();
  EXPECT_THAT(leaving.get(), StatusIs(StatusCode::kCancelled));
  const Result result = staying.get();
  released.set_value();
  CW_EXPECT_OK(result);
}

TEST_F(VaultClientServerTest, LogsInAgainBeforeItsTokenExpires) {
  UseAppRole();
  CW_EXPECT_OK(Sign());
  clock_.Advance(absl::Seconds(FakeVault::kLeaseSeconds - 1));
  CW_EXPECT_OK(Sign());
  clock_.Advance(absl::Seconds(2));
  CW_EXPECT_OK(Sign());
  EXPECT_EQ(vault_.logins(), 2);
  // Longer than any lease.
  clock_.Advance(absl::Hours(1));
  CW_EXPECT_OK(Sign());
  EXPECT_EQ(vault_.logins(), 3);
  EXPECT_EQ(vault_.refusals(), 0);
}

TEST_F(VaultClientServerTest, ARefusedTokenIsReplacedByAFreshLogin) {
  UseAppRole();
  CW_EXPECT_OK(Sign());
  clock_.Advance(absl::Seconds(1));
  vault_.RevokeTokens();
  CW_EXPECT_OK(Sign());
  EXPECT_EQ(vault_.logins(), 2);
  EXPECT_EQ(vault_.refusals(), 1);
}

TEST_F(VaultClientServerTest, AFreshTokenThatIsRefusedLacksTheRight) {
  UseAppRole();
  vault_.SetPolicy(false);
  EXPECT_THAT(Sign(), StatusIs(StatusCode::kPermissionDenied));
  EXPECT_EQ(vault_.logins(), 1);
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Sign(), StatusIs(StatusCode::kPermissionDenied));
  EXPECT_EQ(vault_.logins(), 2);
  vault_.SetPolicy(true);
  CW_EXPECT_OK(Sign());
}

TEST_F(VaultClientServerTest, AWrongSecretIsNoVerdictOnTheRequest) {
  UseAppRole("another");
  EXPECT_THAT(Sign(), StatusIs(StatusCode::kPermissionDenied,
                               AllOf(HasSubstr("auth/machines/login"),
                                     HasSubstr("invalid role or secret ID"))));
}

TEST_F(VaultClientServerTest, ASealedServerIsWaitedFor) {
  UseAppRole();
  CW_EXPECT_OK(CheckHealth());
  vault_.Seal(true);
  EXPECT_THAT(CheckHealth(), StatusIs(StatusCode::kUnavailable, HasSubstr("is sealed")));
  EXPECT_THAT(Sign(), StatusIs(StatusCode::kUnavailable, HasSubstr("is sealed")));
  vault_.Seal(false);
  clock_.Advance(absl::Seconds(1));
  CW_EXPECT_OK(CheckHealth());
  CW_EXPECT_OK(Sign());
  vault_.Seal(true);
  EXPECT_THAT(Sign(), StatusIs(StatusCode::kUnavailable, HasSubstr("is sealed")));
}

}  // namespace
}  // namespace certwright::issuer_service
