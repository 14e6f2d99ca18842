#include "lib/acme/client.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "boost/json/array.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/fake_ca.h"
#include "lib/acme/problem.h"
#include "lib/base/base64.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/test_ca.h"

namespace certwright::acme {
namespace {

using base::IsOk;
using base::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kOrderUrl[] = "https://ca.test/order/1";
constexpr char kAccountUrl[] = "https://ca.test/account/1";

std::string OrderJson(const std::string& status, const std::string& names_json,
                      const std::string& more = "") {
  return R"({"status": ")" + status + R"(", "identifiers": [)" + names_json +
         R"(], "authorizations": ["https://ca.test/authz/1"],
           "finalize": "https://ca.test/finalize/1")" +
         more + "}";
}

std::string NameJson(const std::string& name) {
  return R"({"type": "dns", "value": ")" + name + "\"}";
}

class AcmeClientTest : public testing::Test {
 protected:
  absl::StatusOr<Order> NewOrder(NewOrderRequest request) {
    return ca_.Run(client_.NewOrder(ca_.context(), signer_, std::move(request)));
  }
  absl::StatusOr<Order> NewOrderFor(std::vector<std::string> names) {
    NewOrderRequest request;
    for (std::string& name : names) request.identifiers.push_back(DnsIdentifier(name));
    return NewOrder(std::move(request));
  }
  absl::StatusOr<Account> NewAccount(NewAccountRequest request) {
    return ca_.Run(client_.NewAccount(ca_.context(), TestKey(), std::move(request)));
  }
  absl::StatusOr<Order> Finalize() {
    return ca_.Run(client_.Finalize(ca_.context(), signer_, kOrderUrl,
                                    "https://ca.test/finalize/1", "\x30\x82 csr"));
  }
  absl::StatusOr<CertificateChain> Download() {
    return ca_.Run(
        client_.DownloadCertificate(ca_.context(), signer_, "https://ca.test/cert/1"));
  }

  FakeCa ca_;
  AcmeClient client_{ca_.http, ca_.timers, ca_.random, ca_.Options()};
  LocalJwsSigner signer_{TestKey(), kAccountUrl};
};

// Fault 31.
TEST_F(AcmeClientTest, NewAccountTellsNewFromKnown) {
  const std::vector<http::Header> location = {{"Location", kAccountUrl}};
  ca_.OnPost("/new-account", {Reply(201, R"({"status": "valid"})", location),
                              Reply(200, R"({"status": "valid"})", location)});
  NewAccountRequest request;
  request.contacts = {"mailto:a@b.test"};
  CW_ASSERT_OK_AND_ASSIGN(const Account made, NewAccount(std::move(request)));
  EXPECT_EQ(made.url, kAccountUrl);
  EXPECT_TRUE(made.created);
  const boost::json::object payload = ca_.sent()[0].PayloadObject();
  EXPECT_TRUE(payload.at("termsOfServiceAgreed").as_bool());
  EXPECT_EQ(payload.at("contact").as_array().at(0).as_string(), "mailto:a@b.test");
  EXPECT_TRUE(ca_.sent()[0].header.contains("jwk"));
  CW_ASSERT_OK_AND_ASSIGN(const Account found, NewAccount({}));
  EXPECT_FALSE(found.created);
}

// Fault 35.
TEST_F(AcmeClientTest, LostNewAccountIsRepeatedBecauseItIsIdempotent) {
  ca_.OnPost("/new-account",
             {Lose(), Reply(200, R"({"status": "valid"})", {{"Location", kAccountUrl}})});
  EXPECT_THAT(NewAccount({}), IsOk());
}

TEST_F(AcmeClientTest, NewAccountBindsAnExternalAccount) {
  ca_.OnPost("/new-account", {Reply(201, R"({"status": "valid", "externalAccountBinding": {}})",
                                    {{"Location", kAccountUrl}})});
  NewAccountRequest request;
  request.external_account.emplace();
  request.external_account->key_id = "kid-1";
  request.external_account->mac_key = base::Secret(std::string("-__-MDEyMzQ1Njc4OQ"));
  CW_ASSERT_OK_AND_ASSIGN(const Account account, NewAccount(std::move(request)));
  EXPECT_TRUE(account.external_account_bound);
  const boost::json::object payload = ca_.sent()[0].PayloadObject();
  EXPECT_EQ(payload.at("externalAccountBinding").as_object().at("signature").as_string(),
            "bYgPL4rsTUIYTnDPWtxQQpdfhLzuKtfBdssjCUdA3Eg");
}

TEST_F(AcmeClientTest, BadMacKeyIsFoundBeforeAnythingIsSent) {
  NewAccountRequest request;
  request.external_account.emplace();
  request.external_account->mac_key = base::Secret(std::string("not base64!"));
  EXPECT_THAT(NewAccount(std::move(request)), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(AcmeClientTest, LookUpOfAnUnknownAccountAsksForRegistration) {
  ca_.OnPost("/new-account", {Refuse(400, "accountDoesNotExist")});
  NewAccountRequest request;
  request.only_return_existing = true;
  const absl::Status status = NewAccount(std::move(request)).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(ClassOf(status), ErrorClass::kReregister);
  EXPECT_EQ(ca_.sent()[0].payload, R"({"onlyReturnExisting":true})");
}

// Fault 31.
TEST_F(AcmeClientTest, NewAccountWithoutUsableLocationIsAnError) {
  ca_.OnPost("/new-account", {Reply(201, R"({"status": "valid"})"),
                              Reply(201, R"({"status": "valid"})",
                                    {{"Location", "http://ca.test/account/1"}})});
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(NewAccount({}),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Location")));
  }
}

TEST_F(AcmeClientTest, AccountIsUpdatedAndDeactivated) {
  ca_.OnPost("/account/1",
             {Reply(200, R"({"status": "valid", "contact": ["mailto:c@d.test"]})"),
              Reply(200, R"({"status": "deactivated"})")});
  CW_ASSERT_OK_AND_ASSIGN(
      const Account updated,
      ca_.Run(client_.UpdateAccount(ca_.context(), signer_, kAccountUrl, {"mailto:c@d.test"})));
  EXPECT_THAT(updated.contacts, ElementsAre("mailto:c@d.test"));
  EXPECT_EQ(ca_.sent()[0].payload, R"({"contact":["mailto:c@d.test"]})");
  CW_ASSERT_OK_AND_ASSIGN(const Account gone, ca_.Run(client_.DeactivateAccount(
                                                  ca_.context(), signer_, kAccountUrl)));
  EXPECT_EQ(gone.status, AccountStatus::kDeactivated);
}

TEST_F(AcmeClientTest, KeyChangeReportsAKeyThatIsTaken) {
  ca_.OnPost("/key-change", {Reply(200, "{}"), Refuse(409, "malformed")});
  CW_ASSERT_OK_AND_ASSIGN(const pki::PrivateKey new_key, pki::PrivateKey::Generate({}));
  auto change = [&] {
    return ca_.Run(client_.KeyChange(ca_.context(), signer_, kAccountUrl,
                                     TestKey().public_key(), new_key));
  };
  CW_EXPECT_OK(change());
  EXPECT_TRUE(ca_.sent()[0].header.contains("kid"));
  EXPECT_TRUE(ca_.sent()[0].PayloadObject().contains("protected"));
  EXPECT_THAT(change(), StatusIs(absl::StatusCode::kAlreadyExists));
}

// Faults 41 and 44.
TEST_F(AcmeClientTest, NewOrderNormalisesNamesAndComparesThemAsASet) {
  ca_.OnPost("/new-order",
             {Reply(201, OrderJson("pending", NameJson("B.TEST") + "," + NameJson("a.test")),
                    {{"Location", kOrderUrl}, {"Retry-After", "3"}})});
  NewOrderRequest request;
  request.identifiers = {DnsIdentifier("b.test"), DnsIdentifier("A.test."),
                         DnsIdentifier("a.test")};
  request.profile = "short";
  request.not_after = absl::FromUnixSeconds(1767323045);
  CW_ASSERT_OK_AND_ASSIGN(const Order order, NewOrder(std::move(request)));
  EXPECT_EQ(order.url, kOrderUrl);
  EXPECT_EQ(order.status, OrderStatus::kPending);
  EXPECT_EQ(*order.retry_at - ca_.clock.Now(), absl::Seconds(3));
  EXPECT_EQ(ca_.sent()[0].payload,
            R"({"identifiers":[{"type":"dns","value":"a.test"},)"
            R"({"type":"dns","value":"b.test"}],"notAfter":"2026-01-02T03:04:05Z",)"
            R"("profile":"short"})");
}

// Fault 42.
TEST_F(AcmeClientTest, OrderForOtherNamesIsRefused) {
  ca_.OnPost("/new-order",
             {Reply(201, OrderJson("pending", NameJson("a.test")), {{"Location", kOrderUrl}})});
  const absl::Status fewer = NewOrderFor({"a.test", "b.test"}).status();
  EXPECT_THAT(fewer, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("b.test")));
  EXPECT_EQ(ClassOf(fewer), ErrorClass::kPermanent);
  EXPECT_THAT(NewOrderFor({"c.test"}), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(NewOrderFor({"a.test"}), IsOk());
  EXPECT_THAT(NewOrderFor({}), StatusIs(absl::StatusCode::kInvalidArgument));
}

// Fault 19.
TEST_F(AcmeClientTest, GarbledNewOrderIsReadAgainByItsUrl) {
  ca_.OnPost("/new-order", {Reply(201, "{\"status\": \"pend", {{"Location", kOrderUrl}})});
  ca_.OnPost("/order/1", {Reply(200, OrderJson("ready", NameJson("a.test")))});
  CW_ASSERT_OK_AND_ASSIGN(const Order order, NewOrderFor({"a.test"}));
  EXPECT_EQ(order.url, kOrderUrl);
  EXPECT_EQ(order.status, OrderStatus::kReady);
}

// Fault 19.
TEST_F(AcmeClientTest, NewOrderThatCannotBeReadIsKeptByItsUrl) {
  ca_.OnPost("/new-order", {Reply(201, "{\"status\": \"pend", {{"Location", kOrderUrl}})});
  ca_.OnPost("/order/1", {Reply(503, "")});
  CW_ASSERT_OK_AND_ASSIGN(const Order order, NewOrderFor({"a.test"}));
  EXPECT_EQ(order.url, kOrderUrl);
  EXPECT_EQ(order.finalize, "");
  EXPECT_EQ(ca_.Count("POST", "/new-order"), 1);
}

// Fault 103.
TEST_F(AcmeClientTest, NewOrderWithoutUsableLocationIsAFailureOfTheCa) {
  const std::string body = OrderJson("pending", NameJson("a.test"));
  const std::vector<FakeAnswer> answers = {
      Reply(201, body),
      Reply(201, body, {{"Location", "http://ca.test/order/1"}}),
      Reply(201, body, {{"Location", "https://user@ca.test/order/1"}}),
      Reply(201, body, {{"Location", "order 1"}}),
      Reply(200, body, {{"Location", ""}}),
  };
  ca_.OnPost("/new-order", answers);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const absl::Status status = NewOrderFor({"a.test"}).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("Location")));
    EXPECT_EQ(ClassOf(status), ErrorClass::kPermanent);
  }
  EXPECT_EQ(ca_.Count("POST", "/new-order"), static_cast<int>(answers.size()));
}

// Fault 103.
TEST_F(AcmeClientTest, RelativeLocationsAreResolved) {
  for (const char* location : {"/order/1", "order/1", "./x/../order/1?", "//ca.test/order/1"}) {
    ca_.OnPost("/new-order", {Reply(201, OrderJson("pending", NameJson("a.test")),
                                    {{"Location", location}})});
  }
  for (int i = 0; i < 4; ++i) {
    CW_ASSERT_OK_AND_ASSIGN(const Order order, NewOrderFor({"a.test"}));
    EXPECT_EQ(order.url.substr(0, sizeof kOrderUrl - 1), kOrderUrl);
  }
  ca_.OnPost("/new-account",
             {Reply(201, R"({"status": "valid"})", {{"Location", "account/1"}})});
  EXPECT_EQ(NewAccount({})->url, kAccountUrl);
}

// Faults 58 and 102.
TEST_F(AcmeClientTest, RefusedReplacesIsLeftOutOnce) {
  const std::vector<http::Header> text = {{"Content-Type", "text/plain"}};
  for (const FakeAnswer& refusal :
       {Refuse(409, "alreadyReplaced"), Refuse(404, "malformed"), Refuse(400, "malformed"),
        Refuse(403, "unauthorized"), Refuse(500, "serverInternal"), Refuse(409, "conflict"),
        Refuse(400, "x:urn:of:another"), Refuse(422, "rejectedIdentifier"),
        Reply(409, "conflict", text), Reply(400, "", text), Reply(403, "<html>no</html>", text),
        Reply(409, R"({"error": "conflict"})")}) {
    FakeCa ca;
    AcmeClient client(ca.http, ca.timers, ca.random, ca.Options());
    ca.OnPost("/new-order", {refusal, Reply(201, OrderJson("pending", NameJson("a.test")),
                                            {{"Location", kOrderUrl}})});
    NewOrderRequest request;
    request.identifiers = {DnsIdentifier("a.test")};
    request.replaces = "aki.serial";
    CW_EXPECT_OK(ca.Run(client.NewOrder(ca.context(), signer_, request)));
    ASSERT_EQ(ca.sent().size(), 2u);
    EXPECT_EQ(ca.sent()[0].PayloadObject().at("replaces").as_string(), "aki.serial");
    EXPECT_FALSE(ca.sent()[1].PayloadObject().contains("replaces"));
  }
}

// Fault 102.
TEST_F(AcmeClientTest, WhatReplacesHasNoPartInIsNotAskedAgainWithout) {
  const std::vector<http::Header> later = {{"Retry-After", "60"}};
  for (const FakeAnswer& refusal :
       {Refuse(429, "rateLimited"), Refuse(403, "rateLimited"), Reply(429, ""),
        Refuse(400, "accountDoesNotExist"), Refuse(403, "externalAccountRequired"),
        Refuse(403, "userActionRequired"), Refuse(400, "badSignatureAlgorithm"),
        Reply(502, "<html>gateway</html>"), Reply(503, ""),
        Refuse(500, "serverInternal", later), Lose()}) {
    FakeCa ca;
    AcmeClient client(ca.http, ca.timers, ca.random, ca.Options());
    ca.OnPost("/new-order", {refusal});
    NewOrderRequest request;
    request.identifiers = {DnsIdentifier("a.test")};
    request.replaces = "aki.serial";
    EXPECT_FALSE(ca.Run(client.NewOrder(ca.context(), signer_, request)).ok());
    EXPECT_EQ(ca.Count("POST", "/new-order"), 1);
  }
}

// Fault 58.
TEST_F(AcmeClientTest, RefusalWithoutReplacesIsNotRepeated) {
  ca_.OnPost("/new-order", {Refuse(400, "malformed")});
  EXPECT_THAT(NewOrderFor({"a.test"}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(ca_.Count("POST", "/new-order"), 1);
}

// Fault 52.
TEST_F(AcmeClientTest, FinalizeKeepsTheStoredOrderUrl) {
  ca_.OnPost("/finalize/1",
             {Reply(200, OrderJson("processing", NameJson("a.test")), {{"Retry-After", "3"}})});
  CW_ASSERT_OK_AND_ASSIGN(const Order order, Finalize());
  EXPECT_EQ(order.url, kOrderUrl);
  EXPECT_EQ(order.status, OrderStatus::kProcessing);
  EXPECT_TRUE(order.retry_at.has_value());
  EXPECT_EQ(ca_.sent()[0].PayloadObject().at("csr").as_string(),
            base::Base64UrlEncode("\x30\x82 csr"));
}

// Fault 51.
TEST_F(AcmeClientTest, FinalizeTooEarlyOrGarbledMeansReadingTheOrder) {
  ca_.OnPost("/finalize/1", {Refuse(403, "orderNotReady"), Reply(200, "{}")});
  const absl::Status early = Finalize().status();
  EXPECT_THAT(early, StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(ClassOf(early), ErrorClass::kRereadOrder);
  EXPECT_EQ(ClassOf(Finalize().status()), ErrorClass::kRereadOrder);
}

// Fault 17.
TEST_F(AcmeClientTest, LostFinalizeIsNotRepeated) {
  ca_.OnPost("/finalize/1", {Lose(), Reply(200, OrderJson("valid", NameJson("a.test")))});
  EXPECT_THAT(Finalize(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(ca_.Count("POST", "/finalize/1"), 1);
}

TEST_F(AcmeClientTest, OrderErrorsAreShown) {
  ca_.OnPost("/order/1", {Reply(200, OrderJson("invalid", NameJson("a.test"), R"(,
      "error": {"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "no"})"))});
  CW_ASSERT_OK_AND_ASSIGN(const Order order,
                          ca_.Run(client_.GetOrder(ca_.context(), signer_, kOrderUrl)));
  ASSERT_TRUE(order.error.has_value());
  EXPECT_EQ(ClassifyOrderError(*order.error), ErrorClass::kPermanent);
  EXPECT_EQ(ca_.sent()[0].payload, "");
}

// Fault 19.
TEST_F(AcmeClientTest, GarbledOrderIsTransient) {
  ca_.OnPost("/order/1", {Reply(200, "<html>")});
  const auto result = ca_.Run(client_.GetOrder(ca_.context(), signer_, kOrderUrl));
  EXPECT_EQ(ClassOf(result.status()), ErrorClass::kRetryBackoff);
}

TEST_F(AcmeClientTest, AuthorizationIsReadAcceptedAndDeactivated) {
  const std::string challenge = R"({"type": "dns-01", "url": "https://ca.test/chal/1",
      "status": "pending", "token": "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"})";
  auto authorization_json = [&](const std::string& status) {
    return R"({"status": ")" + status + R"(", "identifier": )" + NameJson("a.test") +
           R"(, "challenges": [)" + challenge + "]}";
  };
  ca_.OnPost("/authz/1", {Reply(200, authorization_json("pending"), {{"Retry-After", "5"}}),
                          Reply(200, authorization_json("deactivated"))});
  ca_.OnPost("/chal/1", {Reply(200, challenge)});
  const std::string url = "https://ca.test/authz/1";
  CW_ASSERT_OK_AND_ASSIGN(const Authorization read,
                          ca_.Run(client_.GetAuthorization(ca_.context(), signer_, url)));
  EXPECT_EQ(read.status, AuthorizationStatus::kPending);
  EXPECT_TRUE(read.retry_at.has_value());
  CW_ASSERT_OK_AND_ASSIGN(
      const Challenge accepted,
      ca_.Run(client_.AcceptChallenge(ca_.context(), signer_, read.Find("dns-01")->url)));
  EXPECT_EQ(accepted.status, ChallengeStatus::kPending);
  EXPECT_EQ(ca_.sent()[1].payload, "{}");
  CW_ASSERT_OK_AND_ASSIGN(const Authorization gone, ca_.Run(client_.DeactivateAuthorization(
                                                        ca_.context(), signer_, url)));
  EXPECT_EQ(gone.status, AuthorizationStatus::kDeactivated);
  EXPECT_EQ(ca_.sent()[2].payload, R"({"status":"deactivated"})");
}

// A chain as a CA hands it out, as PEM.
std::string ChainPem() {
  const pki::TestCa intermediate = pki::TestCa("Root").MakeIntermediate("Intermediate");
  pki::TestCertificateSpec spec;
  spec.names.dns_names = {"a.test"};
  return pki::ToPem(intermediate.ChainFor(intermediate.Sign(TestKey().public_key(), spec)));
}

// Faults 63 and 103.
TEST_F(AcmeClientTest, DownloadGivesTheChainAndItsAlternates) {
  const std::string pem = ChainPem();
  ca_.OnPost("/cert/1", {Reply(200, pem,
                               {{"Content-Type", "application/pem-certificate-chain"},
                                {"Link",
                                 "<https://ca.test/cert/1/2>;rel=\"alternate\", "
                                 "<https://ca.test/dir>;rel=\"index\""},
                                {"Link",
                                 "<1/5>;rel=alternate, <https://ca.test/cert/1/3>; "
                                 "rel=alternate, <https://ca.test/cert/1>;rel=alternate, "
                                 "<http://ca.test/cert/1/4>;rel=alternate"},
                                {"Link",
                                 "<../cert/1/6>;rel=alternate, </cert/1/7>;rel=alternate, "
                                 "<//ca.test/cert/1/8>;rel=alternate, <?9>;rel=alternate"}})});
  ca_.OnPost("/cert/1/2", {Reply(200, ChainPem())});
  CW_ASSERT_OK_AND_ASSIGN(const CertificateChain chain, Download());
  EXPECT_EQ(chain.certificates.size(), 2u);
  EXPECT_EQ(pki::ToPem(chain.certificates), pem);
  EXPECT_THAT(chain.alternate_urls,
              ElementsAre("https://ca.test/cert/1/2", "https://ca.test/cert/1/5",
                          "https://ca.test/cert/1/3", "https://ca.test/cert/1/6",
                          "https://ca.test/cert/1/7", "https://ca.test/cert/1/8",
                          "https://ca.test/cert/1?9"));
  CW_ASSERT_OK_AND_ASSIGN(
      const CertificateChain alternate,
      ca_.Run(client_.DownloadAlternate(ca_.context(), signer_, chain.alternate_urls[0])));
  EXPECT_THAT(alternate.alternate_urls, IsEmpty());
  const http::HttpRequest request = ca_.http.requests().back();
  EXPECT_EQ(http::FindHeader(request.headers, "Accept"), "application/pem-certificate-chain");
  EXPECT_EQ(request.max_response_bytes, kMaxChainBytes);
}

// Fault 64.
TEST_F(AcmeClientTest, ChainWithCarriageReturnsCommentsAndNoLastNewlineIsTaken) {
  std::string pem = "Subject: somebody\n" + absl::StrReplaceAll(ChainPem(), {{"\n", "\r\n"}});
  pem.resize(pem.size() - 2);
  ca_.OnPost("/cert/1", {Reply(200, pem)});
  CW_ASSERT_OK_AND_ASSIGN(const CertificateChain chain, Download());
  EXPECT_EQ(chain.certificates.size(), 2u);
}

// Fault 59.
TEST_F(AcmeClientTest, ChainWithAnythingElseIsRefused) {
  const std::string key = std::string(TestKey().ToPem().Reveal());
  ca_.OnPost("/cert/1", {Reply(200, ChainPem() + key), Reply(200, key + ChainPem()),
                         Reply(200, ""), Reply(200, "<html>login</html>")});
  for (int i = 0; i < 4; ++i) {
    const absl::Status status = Download().status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, Not(HasSubstr("MIG"))));
    EXPECT_EQ(ClassOf(status), ErrorClass::kPermanent);
  }
}

// Fault 62.
TEST_F(AcmeClientTest, CertificateThatIsNotThereYetIsTransient) {
  ca_.OnPost("/cert/1", {Refuse(404, "malformed")});
  const absl::Status status = Download().status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(ClassOf(status), ErrorClass::kRetryBackoff);
}

TEST_F(AcmeClientTest, RevocationTakesAlreadyRevokedForSuccessAndDropsABadReason) {
  ca_.OnPost("/revoke", {Refuse(400, "badRevocationReason"), Refuse(400, "alreadyRevoked"),
                         Reply(200, ""), Refuse(403, "unauthorized")});
  auto revoke = [&](std::optional<RevocationReason> reason) {
    return ca_.Run(client_.RevokeCertificate(ca_.context(), signer_, "der", reason));
  };
  CW_EXPECT_OK(revoke(RevocationReason::kSuperseded));
  EXPECT_EQ(ca_.sent()[0].payload, R"({"certificate":"ZGVy","reason":4})");
  EXPECT_EQ(ca_.sent()[1].payload, R"({"certificate":"ZGVy"})");
  CW_EXPECT_OK(ca_.Run(client_.RevokeCertificateByKey(ca_.context(), TestKey(), "der",
                                                      RevocationReason::kKeyCompromise)));
  EXPECT_TRUE(ca_.sent()[2].header.contains("jwk"));
  EXPECT_THAT(revoke(std::nullopt), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(AcmeClientTest, RenewalInfoIsReadWithoutASignature) {
  ca_.http.On("GET", "https://ca.test/renewal-info/a.b")
      .Reply(200, R"({"suggestedWindow": {"start": "2026-01-02T03:04:05Z",
                      "end": "2026-01-03T03:04:05Z"}})",
             {{"Retry-After", "21600"}})
      .Reply(200, "garbage")
      .Reply(404, "");
  auto get = [this] { return ca_.Run(client_.GetRenewalInfo(ca_.context(), "a.b")); };
  CW_ASSERT_OK_AND_ASSIGN(const RenewalInfo info, get());
  EXPECT_EQ(*info.retry_at - ca_.clock.Now(), absl::Hours(6));
  EXPECT_EQ(ClassOf(get().status()), ErrorClass::kRetryBackoff);
  EXPECT_THAT(get(), StatusIs(absl::StatusCode::kNotFound));
}

// Fault 12.
TEST_F(AcmeClientTest, CaWithoutRenewalInfoIsNeverAskedAndGetsNoReplaces) {
  FakeCa ca;
  CaOptions options = ca.Options();
  options.directory_url = "https://ca.test/plain";
  ca.http.On("GET", options.directory_url)
      .Reply(200, R"({"newNonce": "https://ca.test/nonce", "newAccount": "https://ca.test/a",
                      "newOrder": "https://ca.test/new-order"})");
  ca.OnPost("/new-order",
            {Reply(201, OrderJson("pending", NameJson("a.test")), {{"Location", kOrderUrl}})});
  AcmeClient client(ca.http, ca.timers, ca.random, options);
  EXPECT_THAT(ca.Run(client.GetRenewalInfo(ca.context(), "a.b")),
              StatusIs(absl::StatusCode::kUnimplemented));
  NewOrderRequest request;
  request.identifiers = {DnsIdentifier("a.test")};
  request.replaces = "a.b";
  CW_EXPECT_OK(ca.Run(client.NewOrder(ca.context(), signer_, request)));
  EXPECT_FALSE(ca.sent()[0].PayloadObject().contains("replaces"));
  EXPECT_THAT(ca.Run(client.RevokeCertificate(ca.context(), signer_, "der")),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("revokeCert")));
}

}  // namespace
}  // namespace certwright::acme
