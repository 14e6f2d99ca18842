#include "lib/acme/transport.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/fake_ca.h"
#include "lib/acme/problem.h"
#include "lib/base/status_matchers.h"

namespace certwright::acme {
namespace {

using base::IsOk;
using base::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

class TransportTest : public testing::Test {
 protected:
  // POST-as-GET of an order.
  absl::StatusOr<http::HttpResponse> Read(const std::string& path = "/order/1") {
    Transport::Call call;
    call.url = kCaUrl + path;
    call.repeatable = true;
    return ca_.Run(transport_.Post(ca_.context(), signer_, std::move(call)));
  }

  absl::StatusOr<http::HttpResponse> PostNewOrder() {
    Transport::Call call;
    call.kind = RequestKind::kNewOrder;
    Transport::MakePayload make_payload =
        [](const std::string&) -> absl::StatusOr<std::string> { return std::string("{}"); };
    return ca_.Run(transport_.PostToEndpoint(ca_.context(), signer_, &Directory::new_order,
                                             std::move(make_payload), std::move(call)));
  }

  std::string NonceOf(std::size_t request) {
    return std::string(ca_.sent().at(request).header.at("nonce").as_string());
  }

  FakeCa ca_;
  Transport transport_{ca_.http, ca_.timers, ca_.random, ca_.Options()};
  LocalJwsSigner signer_{TestKey(), "https://ca.test/account/1"};
};

TEST_F(TransportTest, SendsTheHeadersThatCasWant) {
  ca_.OnPost("/order/1", {Reply(200, "{}")});
  ASSERT_THAT(Read(), IsOk());
  const http::HttpRequest request = ca_.http.requests().back();
  EXPECT_EQ(http::FindHeader(request.headers, "Content-Type"), "application/jose+json");
  EXPECT_EQ(http::FindHeader(request.headers, "User-Agent"), "test/1");
  EXPECT_EQ(http::FindHeader(request.headers, "Accept-Language"), "en");
  EXPECT_EQ(request.max_redirects, 0);
}

TEST_F(TransportTest, NoncesComeFromAnswersAndOnlyTheFirstFromNewNonce) {
  ca_.OnPost("/order/1", {Reply(200, "{}")});
  for (int i = 0; i < 5; ++i) ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(ca_.Count("HEAD", "/nonce"), 1);
  EXPECT_EQ(ca_.Count("GET", "/directory"), 1);
}

TEST_F(TransportTest, ARefusalOfNewNonceIsAnOutageAndNoRefusalOfTheRequest) {
  ca_.http.On("HEAD", "https://ca.test/nonce").Reply(400, "");
  ca_.http.On("GET", "https://ca.test/nonce").Reply(400, "");
  const auto result = Read();
  EXPECT_THAT(result, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("newNonce")));
  EXPECT_EQ(ClassOf(result.status()), ErrorClass::kRetryBackoff);
}

// Fault 104.
TEST_F(TransportTest, ANewNonceThatDoesNotTakeHeadIsAskedByGet) {
  for (const int refusal : {405, 501, 404, 403, 200}) {
    FakeCa ca;
    CaOptions options = ca.Options();
    ca.http.On("GET", "https://ca.test/bare-directory")
        .Reply(200, R"({"newNonce": "https://ca.test/get-nonce",
                        "newAccount": "https://ca.test/a", "newOrder": "https://ca.test/o"})");
    options.directory_url = "https://ca.test/bare-directory";
    Transport bare(ca.http, ca.timers, ca.random, options);
    ca.http.On("HEAD", "https://ca.test/get-nonce").Reply(refusal, "");
    ca.http.On("GET", "https://ca.test/get-nonce")
        .Reply(204, "", {{"Replay-Nonce", ca.FreshNonce()}});
    ca.OnPost("/order/1", {Reply(200, "{}")});
    Transport::Call call;
    call.url = "https://ca.test/order/1";
    EXPECT_THAT(ca.Run(bare.Post(ca.context(), signer_, call)), IsOk()) << refusal;
    EXPECT_EQ(ca.Count("GET", "/get-nonce"), 1);
    EXPECT_EQ(ca.Count("GET", "/bare-directory"), 1);
  }
}

// Fault 104.
TEST_F(TransportTest, AnOutageOfNewNonceIsNotAskedAgainByGet) {
  for (const int status : {500, 503, 429}) {
    FakeCa ca;
    CaOptions options = ca.Options();
    options.directory_url = "https://ca.test/bare-directory";
    ca.http.On("GET", options.directory_url)
        .Reply(200, R"({"newNonce": "https://ca.test/get-nonce",
                        "newAccount": "https://ca.test/a", "newOrder": "https://ca.test/o"})");
    Transport bare(ca.http, ca.timers, ca.random, options);
    ca.http.On("HEAD", "https://ca.test/get-nonce").Reply(status, "");
    Transport::Call call;
    call.url = "https://ca.test/order/1";
    EXPECT_FALSE(ca.Run(bare.Post(ca.context(), signer_, call)).ok());
    EXPECT_EQ(ca.Count("GET", "/get-nonce"), 0) << status;
  }
}

TEST_F(TransportTest, ErrorAnswersGiveNoncesToo) {
  ca_.OnPost("/order/1", {Refuse(404, "malformed"), Reply(200, "{}")});
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("because of malformed")));
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(ca_.Count("HEAD", "/nonce"), 1);
}

// Fault 1.
TEST_F(TransportTest, BadNonceIsRetriedWithTheNonceOfThatVeryAnswer) {
  ca_.OnPost("/order/1",
             {Refuse(400, "badNonce", {{"Replay-Nonce", ca_.FreshNonce()}}), Reply(200, "{}")});
  // Newer than the one in the refusal, and in the pool.
  transport_.nonces().Put(ca_.FreshNonce());
  transport_.nonces().Put(ca_.FreshNonce());
  const absl::Time before = ca_.clock.Now();
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(NonceOf(1), "nonce-1");
  EXPECT_EQ(ca_.sent()[0].payload, ca_.sent()[1].payload);
  EXPECT_LT(ca_.clock.Now() - before, absl::Milliseconds(50));
  EXPECT_EQ(ca_.Count("HEAD", "/nonce"), 0);
}

// Fault 2.
TEST_F(TransportTest, NonceStormEndsAsUnavailableAfterPausesAndEmptiesThePool) {
  ca_.OnPost("/new-order", {Reply(201, "{}")});
  ca_.bad_nonces = 1000;
  for (int i = 0; i < 10; ++i) transport_.nonces().Put(ca_.FreshNonce());
  const absl::Time before = ca_.clock.Now();
  const absl::StatusOr<http::HttpResponse> result = PostNewOrder();
  EXPECT_THAT(result, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("newOrder")));
  EXPECT_EQ(ClassOf(result.status()), ErrorClass::kRetryBackoff);
  EXPECT_EQ(ca_.Count("POST", "/new-order"), Transport::kMaxNonceTries);
  EXPECT_EQ(transport_.nonces().size(), 0u);
  EXPECT_GT(ca_.clock.Now() - before, absl::Seconds(5));
}

// Fault 2.
TEST_F(TransportTest, TenBadNoncesInARowAreOvercome) {
  ca_.OnPost("/order/1", {Reply(200, "{}")});
  ca_.bad_nonces = 10;
  EXPECT_THAT(Read(), IsOk());
}

TEST_F(TransportTest, BadNonceWithoutANewOneFetchesOne) {
  ca_.OnPost("/order/1", {Refuse(400, "badNonce", {{"Replay-Nonce", ""}}), Reply(200, "{}")});
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(ca_.Count("HEAD", "/nonce"), 2);
}

// Fault 4.
TEST_F(TransportTest, IllegalReplayNonceIsDroppedAndTheAnswerUsed) {
  ca_.OnPost("/order/1", {Reply(200, "{}", {{"Replay-Nonce", "not base64url!"}})});
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(transport_.nonces().size(), 0u);
}

// Fault 3.
TEST_F(TransportTest, AnswerWithoutANonceIsUsedAndTheNextRequestFetchesOne) {
  ca_.http.On("POST", "https://ca.test/order/1").Reply(200, "{}");
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(ca_.Count("HEAD", "/nonce"), 1);
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(ca_.Count("HEAD", "/nonce"), 2);
}

// Fault 7.
TEST_F(TransportTest, NonceOutOfACacheCostsOneRetryAndNoneIsAskedFor) {
  ca_.http.On("HEAD", "https://ca.test/nonce")
      .Reply(200, "", {{"Replay-Nonce", "spent-by-another"}, {"Age", "30"}});
  ca_.OnPost("/order/1", {Reply(200, "{}", {{"Replay-Nonce", ""}}), Reply(200, "{}")});
  ASSERT_THAT(Read(), IsOk());
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(ca_.Count("HEAD", "/nonce"), 2);
  EXPECT_EQ(ca_.Count("POST", "/order/1"), 3);
  for (const http::HttpRequest& request : ca_.http.requests()) {
    if (request.method != "HEAD") continue;
    EXPECT_EQ(http::FindHeader(request.headers, "Cache-Control"), "no-cache");
  }
}

// Fault 6.
TEST_F(TransportTest, NonceRepeatedByTheServerCostsOneRetry) {
  const std::string nonce = ca_.FreshNonce();
  ca_.OnPost("/order/1", {Reply(200, "{}", {{"Replay-Nonce", nonce}}),
                          Reply(200, "{}", {{"Replay-Nonce", nonce}}), Reply(200, "{}")});
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(ca_.Count("POST", "/order/1"), 4);
}

// Fault 5.
TEST_F(TransportTest, ConcurrentRequestsNeverShareANonce) {
  ca_.OnPost("/order/1", {Reply(200, "{}")});
  for (int i = 0; i < 20; ++i) transport_.nonces().Put(ca_.FreshNonce());
  std::vector<runtime::Awaitable<absl::StatusOr<http::HttpResponse>>> calls;
  for (int i = 0; i < 100; ++i) {
    Transport::Call call;
    call.url = "https://ca.test/order/1";
    calls.push_back(transport_.Post(ca_.context(), signer_, std::move(call)));
  }
  for (const auto& result : ca_.Run(runtime::WhenAll(std::move(calls)))) {
    EXPECT_THAT(result, IsOk());
  }
  std::set<std::string> nonces;
  for (std::size_t i = 0; i < ca_.sent().size(); ++i) nonces.insert(NonceOf(i));
  EXPECT_EQ(nonces.size(), 100u);
}

TEST_F(TransportTest, UrlIsSignedAsItIsRequested) {
  ca_.OnPost("/order/A%2f1?x=~", {Reply(200, "{}")});
  ASSERT_THAT(Read("/order/A%2f1?x=~"), IsOk());
  EXPECT_EQ(ca_.sent()[0].header.at("url").as_string(), "https://ca.test/order/A%2f1?x=~");
}

TEST_F(TransportTest, LostReadIsRepeatedOnceWithAnotherNonce) {
  ca_.OnPost("/order/1", {Lose(), Reply(200, "{}"), Lose()});
  ASSERT_THAT(Read(), IsOk());
  EXPECT_NE(NonceOf(0), NonceOf(1));
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(ca_.Count("POST", "/order/1"), 4);
}

// Fault 16.
TEST_F(TransportTest, LostNewOrderIsNotRepeated) {
  ca_.OnPost("/new-order", {Lose()});
  const absl::StatusOr<http::HttpResponse> result = PostNewOrder();
  EXPECT_THAT(result, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("https://ca.test")));
  EXPECT_EQ(ClassOf(result.status()), ErrorClass::kRetryBackoff);
  EXPECT_EQ(HttpStatusOf(result.status()), std::nullopt);
  EXPECT_EQ(ca_.Count("POST", "/new-order"), 1);
}

// Fault 15.
TEST_F(TransportTest, RefusedTlsCertificateIsForAnOperator) {
  ca_.OnPost("/order/1", {[](const SentJws&) -> absl::StatusOr<http::HttpResponse> {
               return absl::FailedPreconditionError("https://ca.test: certificate expired");
             }});
  const absl::StatusOr<http::HttpResponse> result = Read();
  EXPECT_THAT(result, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("expired")));
  EXPECT_EQ(ClassOf(result.status()), ErrorClass::kOperator);
  EXPECT_EQ(ca_.Count("POST", "/order/1"), 1);
}

// Fault 20.
TEST_F(TransportTest, AnswerOverItsCapIsNotMistakenForARateLimit) {
  ca_.OnPost("/order/1", {[](const SentJws&) -> absl::StatusOr<http::HttpResponse> {
               return absl::ResourceExhaustedError("https://ca.test: over 1048576 bytes");
             }});
  const absl::StatusOr<http::HttpResponse> result = Read();
  EXPECT_EQ(ClassOf(result.status()), ErrorClass::kRetryBackoff);
  EXPECT_EQ(RetryAtOf(result.status()), std::nullopt);
  EXPECT_EQ(ca_.http.requests().back().max_response_bytes, std::size_t{1} << 20);
}

// Faults 21 and 22.
TEST_F(TransportTest, ProxyPagesAreJudgedByStatusAndNeverEchoed) {
  for (const int http_status : {500, 502, 503, 504}) {
    FakeCa ca;
    Transport transport(ca.http, ca.timers, ca.random, ca.Options());
    ca.OnPost("/order/1", {Reply(http_status, "<html>SECRET-COOKIE</html>",
                                 {{"Content-Type", "text/html"}})});
    Transport::Call call;
    call.url = "https://ca.test/order/1";
    const auto result = ca.Run(transport.Post(ca.context(), signer_, std::move(call)));
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kUnavailable, Not(HasSubstr("SECRET"))));
    EXPECT_EQ(ClassOf(result.status()), ErrorClass::kRetryBackoff);
    EXPECT_EQ(HttpStatusOf(result.status()), http_status);
  }
}

// Fault 22.
TEST_F(TransportTest, SuccessThatCarriesAProblemIsAnError) {
  ca_.OnPost("/order/1", {Refuse(200, "serverInternal")});
  EXPECT_EQ(ClassOf(Read().status()), ErrorClass::kRetryBackoff);
}

TEST_F(TransportTest, NewTermsAreFoundByTheirLinkWhereTheProblemNamesNone) {
  ca_.OnPost(
      "/order/1",
      {Refuse(403, "userActionRequired",
              {{"Link", "<https://ca.test/terms/v2>; rel=\"terms-of-service\""}}),
       Refuse(403, "userActionRequired", {{"Link", "</terms/v3>; rel=\"terms-of-service\""}}),
       Refuse(403, "userActionRequired")});
  EXPECT_EQ(ProblemOf(Read().status())->instance, "https://ca.test/terms/v2");
  EXPECT_EQ(ProblemOf(Read().status())->instance, "https://ca.test/terms/v3");
  EXPECT_EQ(ProblemOf(Read().status())->instance, "");
}

// Faults 23 and 24.
TEST_F(TransportTest, OutageAndRateLimitCarryTheirTimes) {
  ca_.OnPost("/order/1", {Reply(503, "", {{"Retry-After", "120"}}), Refuse(429, "rateLimited"),
                          Refuse(429, "rateLimited", {{"Retry-After", "86400"}}),
                          Reply(503, "", {{"Retry-After", "abc"}}),
                          Reply(503, "", {{"Retry-After", "-7"}})});
  auto retry_in = [this]() -> std::optional<absl::Duration> {
    const absl::Status status = Read().status();
    const std::optional<absl::Time> at = RetryAtOf(status);
    EXPECT_EQ(at.has_value(), ClassOf(status) == ErrorClass::kRetryAt);
    if (!at.has_value()) return std::nullopt;
    return absl::Trunc(*at - ca_.clock.Now() + absl::Milliseconds(500), absl::Seconds(1));
  };
  EXPECT_EQ(retry_in(), absl::Seconds(120));
  EXPECT_EQ(retry_in(), absl::Hours(1));
  EXPECT_EQ(retry_in(), absl::Hours(24));
  EXPECT_EQ(retry_in(), std::nullopt);
  EXPECT_EQ(retry_in(), std::nullopt);
}

TEST_F(TransportTest, RedirectedSignedRequestIsAnError) {
  ca_.OnPost("/order/1", {Reply(307, "", {{"Location", "https://elsewhere.test/"}})});
  EXPECT_EQ(ClassOf(Read().status()), ErrorClass::kOperator);
  EXPECT_EQ(ca_.Count("POST", "/order/1"), 1);
}

// Fault 11.
TEST_F(TransportTest, MovedEndpointIsLookedUpAgainOnce) {
  ca_.OnPost("/new-order", {Reply(404, "not here")});
  ca_.OnPost("/orders", {Reply(201, "{}")});
  // The second answer of the directory.
  ca_.http.On("GET", "https://ca.test/directory")
      .Reply(200, R"({"newNonce": "https://ca.test/nonce", "newAccount": "https://ca.test/a",
                      "newOrder": "https://ca.test/orders"})");
  ASSERT_THAT(PostNewOrder(), IsOk());
  EXPECT_EQ(ca_.Count("POST", "/new-order"), 1);
  EXPECT_EQ(ca_.Count("POST", "/orders"), 1);
}

// Fault 11.
TEST_F(TransportTest, EndpointThatIsGoneWithoutAnotherIsNotFound) {
  ca_.OnPost("/new-order", {Reply(404, "not here")});
  EXPECT_THAT(PostNewOrder(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(ca_.Count("POST", "/new-order"), 1);
  EXPECT_EQ(ca_.Count("GET", "/directory"), 2);
}

TEST_F(TransportTest, ResourceThatIsGoneDoesNotCostADirectory) {
  ca_.OnPost("/order/1", {Refuse(404, "malformed")});
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(ca_.Count("GET", "/directory"), 1);
}

TEST_F(TransportTest, FailedSigningLeavesTheNonceUsable) {
  class Refusing final : public JwsSigner {
   public:
    runtime::Awaitable<absl::StatusOr<SignedRequest>> Sign(runtime::Context,
                                                           SignRequest) override {
      co_return absl::PermissionDeniedError("not for you");
    }
  } refusing;
  Transport::Call call;
  call.url = "https://ca.test/order/1";
  EXPECT_THAT(ca_.Run(transport_.Post(ca_.context(), refusing, std::move(call))),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("not for you")));
  EXPECT_EQ(transport_.nonces().size(), 1u);
}

// Fault 14.
TEST_F(TransportTest, InsecureUrlIsNeverAsked) {
  Transport::Call call;
  call.url = "http://ca.test/order/1";
  const auto result = ca_.Run(transport_.Post(ca_.context(), signer_, std::move(call)));
  EXPECT_EQ(ClassOf(result.status()), ErrorClass::kOperator);
  EXPECT_EQ(ca_.Count("POST", "/order/1"), 0);
}

TEST_F(TransportTest, SilentCaIsGivenUpAfterTheRequestTimeout) {
  class Silent final : public http::HttpClient {
   public:
    explicit Silent(runtime::Timers& timers) : timers_(timers) {}
    runtime::Awaitable<absl::StatusOr<http::HttpResponse>> Send(runtime::Context context,
                                                                http::HttpRequest) override {
      co_return co_await runtime::SleepFor(timers_, context, absl::Hours(1));
    }

   private:
    runtime::Timers& timers_;
  } silent(ca_.timers);
  Transport transport(silent, ca_.timers, ca_.random, ca_.Options());
  const auto result = ca_.Run(transport.Get(ca_.context(), "https://ca.test/renewal-info/a.b"));
  EXPECT_THAT(result, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("30s")));
  const runtime::Context brief = ca_.context().Within(absl::Seconds(2));
  EXPECT_THAT(ca_.Run(transport.Get(brief, "https://ca.test/renewal-info/a.b")),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

}  // namespace
}  // namespace certwright::acme
