#include "services/issuer/vault_client.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/json/array.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "boost/json/value.hpp"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/http/fake_http_client.h"
#include "lib/pki/test_ca.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"

namespace certwright::issuer_service {
namespace {

using absl::StatusCode;
using base::IsOk;
using base::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kSignUrl[] = "https://vault.test:8200/v1/pki/sign/web";
constexpr char kLoginUrl[] = "https://vault.test:8200/v1/auth/approle/login";
constexpr char kHealthUrl[] =
    "https://vault.test:8200/v1/sys/health?standbyok=true&perfstandbyok=true";
constexpr char kToken[] = "hvs.token-1";

std::string Answer(const std::string& certificate, const std::string& issuing_ca,
                   const std::vector<std::string>& ca_chain) {
  boost::json::object data;
  data["certificate"] = certificate;
  data["issuing_ca"] = issuing_ca;
  data["ca_chain"] = boost::json::array(ca_chain.begin(), ca_chain.end());
  boost::json::object answer;
  answer["data"] = data;
  return boost::json::serialize(answer);
}

std::string LoginAnswer(absl::string_view token, int lease_seconds) {
  return absl::StrCat(R"({"auth":{"client_token":")", token, R"(","lease_duration":)",
                      lease_seconds, "}}");
}

VaultOptions Options() {
  VaultOptions options;
  options.server = "https://vault.test:8200/";
  options.path = "/pki/sign/web";
  return options;
}

VaultOptions TokenOptions() {
  VaultOptions options = Options();
  options.auth.token = base::Secret(std::string(kToken) + "\n");
  return options;
}

VaultOptions AppRoleOptions() {
  VaultOptions options = Options();
  VaultAppRoleLogin& role = options.auth.app_role.emplace();
  role.role_id = "role-1";
  role.secret_id = base::Secret("secret-1");
  return options;
}

class VaultClientTest : public testing::Test {
 protected:
  VaultClientTest() { request_.csr_pem = "the CSR"; }

  pki::Certificate Leaf(const pki::TestCa& ca, bool is_ca = false) const {
    pki::TestCertificateSpec spec;
    spec.common_name = "a.example";
    spec.is_ca = is_ca;
    return ca.Sign(key_.public_key(), spec);
  }
  std::string GoodAnswer() const {
    return Answer(leaf_.Pem(), intermediate_.certificate().Pem(),
                  {intermediate_.certificate().Pem(), root_.certificate().Pem()});
  }

  std::unique_ptr<VaultClient> Make(VaultOptions options) {
    absl::StatusOr<std::unique_ptr<VaultClient>> client =
        VaultClient::Create(*http_, timers_, std::move(options));
    EXPECT_THAT(client, IsOk());
    return client.ok() ? *std::move(client) : nullptr;
  }
  runtime::Context NewContext() const {
    return runtime::Context::WithTimeout(clock_, absl::Minutes(5));
  }
  absl::StatusOr<VaultCertificate> Sign(VaultClient& client) {
    return runtime::RunSync(client.Sign(NewContext(), request_));
  }
  absl::StatusOr<VaultCertificate> SignOnce(VaultOptions options) {
    return Sign(*Make(std::move(options)));
  }
  absl::StatusOr<VaultCertificate> Read(const std::string& answer, bool is_ca = false) const {
    return ReadVaultCertificate(boost::json::parse(answer).as_object(), is_ca);
  }
  int Requests(absl::string_view url) const {
    int count = 0;
    for (const http::HttpRequest& request : http_->requests()) count += request.url == url;
    return count;
  }
  std::optional<std::string> LastHeader(absl::string_view name) const {
    return http::FindHeader(http_->requests().back().headers, name);
  }

  base::FakeClock clock_;
  runtime::FakeTimers timers_{clock_};
  // Made anew to forget its scripts.
  std::optional<http::FakeHttpClient> http_{std::in_place};
  const pki::TestCa root_{"Root"};
  const pki::TestCa intermediate_ = root_.MakeIntermediate("Intermediate");
  const pki::PrivateKey key_ = *pki::PrivateKey::Generate({});
  const pki::Certificate leaf_ = Leaf(intermediate_);
  VaultSignRequest request_;
};

TEST_F(VaultClientTest, AsksForEveryNameAndTheDuration) {
  http_->On("POST", kSignUrl).Reply(200, GoodAnswer());
  request_.common_name = "a.example";
  request_.names.dns_names = {"a.example", "*.b.example"};
  request_.names.email_addresses = {"c@d.example"};
  request_.names.ip_addresses = {"192.0.2.1", "2001:db8::1"};
  request_.names.uris = {"spiffe://e.example/f"};
  request_.names.other_names = {{"1.3.6.1.4.1.311.20.2.3", "g@h.example"}};
  request_.duration = absl::Hours(1) + absl::Milliseconds(5);
  VaultOptions options = TokenOptions();
  options.vault_namespace = "team/web/";
  options.ca_bundle_pem = "the bundle";
  CW_ASSERT_OK(SignOnce(std::move(options)));

  const http::HttpRequest sent = http_->requests().back();
  EXPECT_EQ(LastHeader("X-Vault-Token"), kToken);
  EXPECT_EQ(LastHeader("X-Vault-Namespace"), "team/web");
  EXPECT_EQ(sent.trust.ca_bundle_pem, "the bundle");
  EXPECT_FALSE(sent.trust.skip_verify);
  const boost::json::value expected = {
      {"csr", "the CSR"},
      {"common_name", "a.example"},
      {"alt_names", "a.example,*.b.example,c@d.example"},
      {"ip_sans", "192.0.2.1,2001:db8::1"},
      {"uri_sans", "spiffe://e.example/f"},
      {"other_sans", "1.3.6.1.4.1.311.20.2.3;UTF8:g@h.example"},
      {"ttl", "3600s"},
      {"exclude_cn_from_sans", "true"}};
  EXPECT_EQ(boost::json::parse(sent.body), expected);
}

TEST_F(VaultClientTest, LeavesToTheRoleWhatIsNotAskedFor) {
  http_->On("POST", kSignUrl).Reply(200, GoodAnswer());
  CW_ASSERT_OK(SignOnce(TokenOptions()));
  EXPECT_EQ(LastHeader("X-Vault-Namespace"), std::nullopt);
  const boost::json::value expected = {{"csr", "the CSR"}, {"exclude_cn_from_sans", "true"}};
  EXPECT_EQ(boost::json::parse(http_->requests().back().body), expected);
}

TEST_F(VaultClientTest, RefusesANameThatVaultWouldReadAsTwo) {
  request_.names.uris = {"https://a.example/x,y"};
  EXPECT_THAT(SignOnce(TokenOptions()),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("uri_sans")));
  EXPECT_THAT(http_->requests(), IsEmpty());
}

TEST_F(VaultClientTest, GivesThePathUpToTheRootWhateverTheOrder) {
  const pki::TestCa lower = intermediate_.MakeIntermediate("Lower");
  const pki::TestCa other("Other");
  CW_ASSERT_OK_AND_ASSIGN(
      const VaultCertificate certificate,
      Read(Answer(Leaf(lower).Pem(), lower.certificate().Pem(),
                  {root_.certificate().Pem(), other.certificate().Pem(),
                   lower.certificate().Pem(), intermediate_.certificate().Pem()})));
  EXPECT_THAT(certificate.chain_pem,
              ElementsAre(lower.certificate().Pem(), intermediate_.certificate().Pem()));
  EXPECT_EQ(certificate.ca_pem, root_.certificate().Pem());
}

TEST_F(VaultClientTest, TakesTheTopmostCertificateWhereVaultDoesNotNameTheRoot) {
  CW_ASSERT_OK_AND_ASSIGN(
      const VaultCertificate certificate,
      Read(Answer(leaf_.Pem() + "\n", intermediate_.certificate().Pem(), {})));
  EXPECT_EQ(certificate.certificate_pem, leaf_.Pem());
  EXPECT_THAT(certificate.chain_pem, ElementsAre(intermediate_.certificate().Pem()));
  EXPECT_EQ(certificate.ca_pem, intermediate_.certificate().Pem());
}

TEST_F(VaultClientTest, ARootThatSignsItselfIsNotPartOfTheChain) {
  CW_ASSERT_OK_AND_ASSIGN(
      const VaultCertificate certificate,
      Read(Answer(Leaf(root_).Pem(), root_.certificate().Pem(), {root_.certificate().Pem()})));
  EXPECT_THAT(certificate.chain_pem, IsEmpty());
  EXPECT_EQ(certificate.ca_pem, root_.certificate().Pem());
}

TEST_F(VaultClientTest, RefusesAnswersThatAreNoCertificateAndItsIssuer) {
  const std::string leaf = leaf_.Pem();
  const std::string ca = intermediate_.certificate().Pem();
  const std::string key(key_.ToPem().Reveal());
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{}", "no data"},
      {R"({"data":[]})", "no data"},
      {R"({"data":{"certificate":7}})", "certificate"},
      {Answer("", ca, {}), "certificate"},
      {Answer(leaf + ca, ca, {}), "not one certificate"},
      {Answer(leaf + key, ca, {}), "not a CERTIFICATE"},
      {Answer(leaf, "", {}), "issuing_ca"},
      {Answer(leaf, root_.certificate().Pem(), {}), "has not issued"},
      {Answer(leaf, ca, {"x"}), "ca_chain"},
      {Answer(leaf, ca, std::vector<std::string>(21, ca)), "more than 20"},
      {Answer(Leaf(intermediate_, true).Pem(), ca, {}), "was not asked for"},
  };
  for (const auto& [answer, why] : cases) {
    EXPECT_THAT(Read(answer), StatusIs(StatusCode::kFailedPrecondition, HasSubstr(why)));
  }
  EXPECT_THAT(Read(GoodAnswer(), true), StatusIs(StatusCode::kFailedPrecondition));
}

TEST_F(VaultClientTest, SignsCasOnlyWhereVaultSignsCas) {
  request_.is_ca = true;
  EXPECT_THAT(SignOnce(TokenOptions()),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("root/sign-intermediate")));
  VaultOptions options = TokenOptions();
  options.path = "pki/root/sign-intermediate";
  const std::unique_ptr<VaultClient> client = Make(std::move(options));
  http_->On("POST", "https://vault.test:8200/v1/pki/root/sign-intermediate")
      .Reply(200,
             Answer(Leaf(intermediate_, true).Pem(), intermediate_.certificate().Pem(), {}));
  CW_EXPECT_OK(Sign(*client));
  request_.is_ca = false;
  EXPECT_THAT(Sign(*client), StatusIs(StatusCode::kInvalidArgument, HasSubstr("only CAs")));
  EXPECT_EQ(http_->requests().size(), 1);
}

TEST_F(VaultClientTest, ClassifiesRefusals) {
  struct Case {
    int http_status;
    std::string body;
    StatusCode code;
    std::string message;
  };
  const std::vector<Case> cases = {
      {400, R"({"errors":["role wants .example"]})", StatusCode::kInvalidArgument,
       "HTTP 400: role wants .example"},
      {403, R"({"errors":["permission denied"]})", StatusCode::kPermissionDenied, "denied"},
      {404, R"({"errors":[]})", StatusCode::kNotFound, "pki/sign/web answered HTTP 404"},
      {405, "", StatusCode::kFailedPrecondition, "not an endpoint that signs"},
      {412, "", StatusCode::kUnavailable, "HTTP 412"},
      {429, "", StatusCode::kUnavailable, "HTTP 429"},
      {307, "", StatusCode::kUnavailable, "active node"},
      {500, R"({"errors":["a","b"]})", StatusCode::kUnavailable, "a; b"},
      {503, R"({"errors":["Vault is sealed"]})", StatusCode::kUnavailable, "is sealed"},
      {503, "<html>", StatusCode::kUnavailable, "HTTP 503"},
      {200, "<html>", StatusCode::kFailedPrecondition, "not a JSON object"},
      {200, "{}", StatusCode::kFailedPrecondition, "no data"},
  };
  for (const Case& c : cases) {
    http_->On("POST", kSignUrl).Reply(c.http_status, c.body);
    EXPECT_THAT(SignOnce(TokenOptions()),
                StatusIs(c.code, AllOf(HasSubstr(c.message), Not(HasSubstr("html")))))
        << c.http_status;
    http_.emplace();
  }
}

TEST_F(VaultClientTest, ShowsWhatVaultSaysWithoutSecretsAndControlCharacters) {
  http_->On("POST", kSignUrl)
      .Reply(400, absl::StrCat(R"({"errors":["1 error:\n\t* \u001b[31m )", kToken, R"( é)",
                               std::string(3000, 'x'), R"("]})"));
  const absl::Status status = SignOnce(TokenOptions()).status();
  EXPECT_THAT(status,
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(R"(1 error:\n\t* \x1b[31m (secret) \xc3\xa9xxx)"),
                             Not(HasSubstr(kToken)))));
  EXPECT_LT(status.message().size(), 1200);
}

TEST_F(VaultClientTest, NoAnswerMayPassAndARefusedServerMayNot) {
  http_->On("POST", kSignUrl).Fail(absl::DeadlineExceededError("too late"));
  EXPECT_THAT(SignOnce(TokenOptions()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("within 30s")));
  http_.emplace();
  http_->On("POST", kSignUrl).Fail(absl::UnavailableError("reset"));
  EXPECT_THAT(SignOnce(TokenOptions()), StatusIs(StatusCode::kUnavailable, HasSubstr("reset")));
  http_.emplace();
  http_->On("POST", kSignUrl).Fail(absl::FailedPreconditionError("bad certificate"));
  EXPECT_THAT(SignOnce(TokenOptions()), StatusIs(StatusCode::kFailedPrecondition));
  http_.emplace();
  http_->On("POST", kSignUrl).Fail(absl::InvalidArgumentError("cannot be sent"));
  EXPECT_THAT(SignOnce(TokenOptions()), StatusIs(StatusCode::kFailedPrecondition));
}

TEST_F(VaultClientTest, ACallerWhoseTimeIsUpHearsThat) {
  const std::unique_ptr<VaultClient> client = Make(TokenOptions());
  const runtime::Context ended(clock_, clock_.MonotonicNow());
  EXPECT_THAT(runtime::RunSync(client->Sign(ended, request_)),
              StatusIs(StatusCode::kDeadlineExceeded));
}

TEST_F(VaultClientTest, ATokenThatWasGivenIsNotTriedTwice) {
  http_->On("POST", kSignUrl).Reply(403, R"({"errors":["permission denied"]})");
  const std::unique_ptr<VaultClient> client = Make(TokenOptions());
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Sign(*client), StatusIs(StatusCode::kPermissionDenied));
  EXPECT_EQ(http_->requests().size(), 1);
}

TEST_F(VaultClientTest, LogsInAgainAtTwoThirdsOfTheLease) {
  http_->On("POST", kSignUrl).Reply(200, GoodAnswer());
  http_->On("POST", kLoginUrl)
      .Reply(200, LoginAnswer("t1", 90))
      .Reply(200, LoginAnswer("t2", 0));
  const std::unique_ptr<VaultClient> client = Make(AppRoleOptions());
  CW_ASSERT_OK(Sign(*client));
  EXPECT_EQ(boost::json::parse(http_->requests().front().body),
            boost::json::value({{"role_id", "role-1"}, {"secret_id", "secret-1"}}));
  EXPECT_EQ(LastHeader("X-Vault-Token"), "t1");
  clock_.Advance(absl::Seconds(59));
  CW_ASSERT_OK(Sign(*client));
  EXPECT_EQ(LastHeader("X-Vault-Token"), "t1");
  clock_.Advance(absl::Seconds(1));
  CW_ASSERT_OK(Sign(*client));
  EXPECT_EQ(LastHeader("X-Vault-Token"), "t2");
  // No lease: good until refused.
  clock_.Advance(absl::Hours(10000));
  CW_ASSERT_OK(Sign(*client));
  EXPECT_EQ(Requests(kLoginUrl), 2);
}

TEST_F(VaultClientTest, KeepsTheTokenWhileItCannotBeRenewed) {
  http_->On("POST", kSignUrl).Reply(200, GoodAnswer());
  http_->On("POST", kLoginUrl).Reply(200, LoginAnswer("t1", 90)).Reply(500, "");
  const std::unique_ptr<VaultClient> client = Make(AppRoleOptions());
  CW_ASSERT_OK(Sign(*client));
  clock_.Advance(absl::Seconds(61));
  CW_ASSERT_OK(Sign(*client));
  CW_ASSERT_OK(Sign(*client));
  EXPECT_EQ(Requests(kLoginUrl), 2);
  clock_.Advance(absl::Seconds(10));
  CW_ASSERT_OK(Sign(*client));
  EXPECT_EQ(Requests(kLoginUrl), 3);
  clock_.Advance(absl::Seconds(20));
  EXPECT_THAT(Sign(*client), StatusIs(StatusCode::kUnavailable, HasSubstr("AppRole login")));
}

TEST_F(VaultClientTest, AFailedLoginIsAnsweredToAllForASecond) {
  http_->On("POST", kLoginUrl)
      .Reply(400, R"({"errors":["invalid role or secret ID: secret-1"]})")
      .Reply(404, "");
  const std::unique_ptr<VaultClient> client = Make(AppRoleOptions());
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Sign(*client), StatusIs(StatusCode::kPermissionDenied,
                                        AllOf(HasSubstr("invalid role or secret ID: (secret)"),
                                              Not(HasSubstr("secret-1")))));
  }
  EXPECT_EQ(http_->requests().size(), 1);
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Sign(*client), StatusIs(StatusCode::kNotFound, HasSubstr("auth/approle/login")));
}

TEST_F(VaultClientTest, ALoginThatGivesNoTokenIsAnError) {
  for (const std::string body : {R"({})", R"({"auth":null})", R"({"auth":{"client_token":""}})",
                                 R"({"auth":{"client_token":"a\r\nb"}})"}) {
    http_->On("POST", kLoginUrl).Reply(200, body);
    EXPECT_THAT(SignOnce(AppRoleOptions()),
                StatusIs(StatusCode::kFailedPrecondition, HasSubstr("no token")))
        << body;
    http_.emplace();
  }
}

TEST_F(VaultClientTest, SaysHowTheServerIs) {
  struct Case {
    int http_status;
    std::string body;
    StatusCode code;
    std::string message;
  };
  const std::string sealed = R"({"initialized":true,"sealed":true})";
  const std::vector<Case> cases = {
      {200, R"({"initialized":true,"sealed":false})", StatusCode::kOk, ""},
      {501, R"({"initialized":false,"sealed":true})", StatusCode::kFailedPrecondition,
       "is not initialised"},
      {503, sealed, StatusCode::kUnavailable, "is sealed"},
      {472, R"({"initialized":true,"sealed":false})", StatusCode::kUnavailable, "secondary"},
      {530, sealed, StatusCode::kUnavailable, "HTTP 530"},
      {200, "<html>", StatusCode::kUnavailable, "does not say"},
      {503, "<html>", StatusCode::kUnavailable, "does not say"},
  };
  for (const Case& c : cases) {
    VaultOptions options = AppRoleOptions();
    options.vault_namespace = "team";
    const std::unique_ptr<VaultClient> client = Make(std::move(options));
    http_->On("GET", kHealthUrl).Reply(c.http_status, c.body);
    EXPECT_THAT(runtime::RunSync(client->CheckHealth(NewContext())),
                StatusIs(c.code, HasSubstr(c.message)));
    // The endpoint exists only in the root namespace.
    EXPECT_EQ(LastHeader("X-Vault-Namespace"), std::nullopt);
    http_.emplace();
  }
  const std::unique_ptr<VaultClient> client = Make(TokenOptions());
  EXPECT_THAT(runtime::RunSync(client->CheckHealth(NewContext())),
              StatusIs(StatusCode::kUnavailable, HasSubstr("https://vault.test:8200")));
}

TEST_F(VaultClientTest, RefusesOptionsThatCannotWork) {
  using Change = void (*)(VaultOptions&);
  const std::vector<std::pair<std::string, Change>> cases = {
      {"URL", [](VaultOptions& o) { o.server = "vault.test"; }},
      {"query", [](VaultOptions& o) { o.server = "https://vault.test/?a=b"; }},
      {"https", [](VaultOptions& o) { o.server = "http://vault.test"; }},
      {"path is required", [](VaultOptions& o) { o.path = "//"; }},
      {"dots", [](VaultOptions& o) { o.path = "pki/../sys/seal"; }},
      {"empty", [](VaultOptions& o) { o.path = "pki//sign"; }},
      {"letters", [](VaultOptions& o) { o.path = "pki/sign/web?x"; }},
      {"512", [](VaultOptions& o) { o.path = std::string(513, 'a'); }},
      {"namespace", [](VaultOptions& o) { o.vault_namespace = "a\r\nb"; }},
      {"token", [](VaultOptions& o) { o.auth.token = base::Secret(); }},
      {"token", [](VaultOptions& o) { o.auth.token = base::Secret("tok en"); }},
      {"not both", [](VaultOptions& o) { o.auth.app_role.emplace().role_id = "r"; }},
  };
  for (const auto& [message, change] : cases) {
    VaultOptions options = TokenOptions();
    change(options);
    const absl::Status status =
        VaultClient::Create(*http_, timers_, std::move(options)).status();
    EXPECT_THAT(status, StatusIs(StatusCode::kInvalidArgument,
                                 AllOf(HasSubstr(message), Not(HasSubstr("tok en")))));
  }
  VaultOptions no_secret = AppRoleOptions();
  no_secret.auth.app_role->secret_id = base::Secret();
  EXPECT_THAT(VaultClient::Create(*http_, timers_, std::move(no_secret)),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("secret")));
  VaultOptions no_role = AppRoleOptions();
  no_role.auth.app_role->role_id = "";
  EXPECT_THAT(VaultClient::Create(*http_, timers_, std::move(no_role)),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("role")));
}

}  // namespace
}  // namespace certwright::issuer_service
