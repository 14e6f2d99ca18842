// What a test can ask of the CA beyond being one; that it is one, conformance_test says.
#include "tests/fakes/ca_server.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/problem.h"
#include "lib/acme/renewal_info.h"
#include "lib/base/status_matchers.h"
#include "tests/fakes/acme_user.h"

namespace certwright::fakes {
namespace {

using acme::AuthorizationStatus;
using acme::ErrorClass;
using acme::OrderStatus;
using base::StatusIs;
using ::testing::HasSubstr;

class CaServerTest : public testing::Test {
 protected:
  void StartCa(CaServerOptions options) {
    options.validation.assume_valid = true;
    CW_ASSERT_OK_AND_ASSIGN(ca_, CaServer::Start(std::move(options)));
    user_ = std::make_unique<AcmeUser>(ca_->directory_url(), ca_->tls_ca_pem());
  }
  void SetUp() override {
    StartCa({});
    CW_ASSERT_OK(user_->Register());
  }

  absl::StatusOr<acme::Authorization> GetAuthorization(const std::string& url) {
    return user_->Run(
        user_->client().GetAuthorization(AcmeUser::NewContext(), user_->signer(), url));
  }

  std::unique_ptr<CaServer> ca_;
  std::unique_ptr<AcmeUser> user_;
};

TEST_F(CaServerTest, ARefusalHitsAsOftenAsAskedAndNothingTakesEffect) {
  ca_->Inject(Endpoint::kNewOrder, RefuseWith(503, "serverInternal").Times(2));
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = user_->NewOrder({"a.test"}).status();
    EXPECT_EQ(acme::HttpStatusOf(status), 503) << status;
  }
  EXPECT_EQ(ca_->orders_for({"a.test"}), 0);
  CW_EXPECT_OK(user_->NewOrder({"a.test"}));
  EXPECT_EQ(ca_->orders_for({"a.test"}), 1);
  EXPECT_EQ(ca_->requests(Endpoint::kNewOrder), 3);
}

TEST_F(CaServerTest, RetryAfterComesAsItIsGiven) {
  ca_->Inject(
      Endpoint::kNewOrder,
      RefuseWith(429, "rateLimited", {{"Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"}}));
  const absl::Status status = user_->NewOrder({"a.test"}).status();
  EXPECT_TRUE(acme::HasProblemType(status, "rateLimited")) << status;
}

TEST_F(CaServerTest, AResetComesBeforeOrAfterTheOrderIsMade) {
  // Repeated once by the HTTP client, as its connection might just have been too old.
  ca_->Inject(Endpoint::kNewOrder, ResetBefore().Times(2));
  EXPECT_FALSE(user_->NewOrder({"a.test"}).ok());
  EXPECT_EQ(ca_->orders_for({"a.test"}), 0);

  http::HttpRequest request;
  request.method = "POST";
  request.url = absl::StrCat("https://127.0.0.1:", ca_->port(), "/new-order");
  request.headers = {{"Content-Type", "application/jose+json"}};
  request.body = user_->Sign(request.url, user_->FreshNonce(),
                             R"({"identifiers":[{"type":"dns","value":"a.test"}]})");
  request.fresh_connection = true;
  ca_->Inject(Endpoint::kNewOrder, ResetAfter());
  EXPECT_FALSE(user_->Send(request).ok());
  EXPECT_EQ(ca_->orders_for({"a.test"}), 1);
}

TEST_F(CaServerTest, AnAnswerIsCutDelayedDrippedOrReplaced) {
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order order, user_->NewOrder({"a.test"}));
  // The client asks twice for what it only reads.
  ca_->Inject(Endpoint::kOrder, CutAfter(20).Times(2));
  EXPECT_FALSE(user_->GetOrder(order.url).ok());
  ca_->Inject(Endpoint::kOrder, ReplaceBody("{\"status\":"));
  EXPECT_FALSE(user_->GetOrder(order.url).ok());
  ca_->Inject(Endpoint::kOrder, AnswerWith(502, "<html>bad gateway</html>"));
  EXPECT_EQ(acme::HttpStatusOf(user_->GetOrder(order.url).status()), 502);

  const absl::Time start = absl::Now();
  ca_->Inject(Endpoint::kOrder, Delay(absl::Milliseconds(300)));
  CW_EXPECT_OK(user_->GetOrder(order.url));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(300));

  ca_->Inject(Endpoint::kOrder, Drip(100));
  const absl::Status slow =
      user_
          ->Run(user_->client().GetOrder(AcmeUser::NewContext(absl::Milliseconds(300)),
                                         user_->signer(), order.url))
          .status();
  EXPECT_FALSE(slow.ok());
  CW_EXPECT_OK(user_->GetOrder(order.url));
}

TEST_F(CaServerTest, HeadersAreRemovedAndSet) {
  ca_->Inject(Endpoint::kNewOrder, RemoveHeader("Location"));
  EXPECT_FALSE(user_->NewOrder({"a.test"}).ok());
  ca_->Inject(Endpoint::kNewOrder, RemoveHeader("Replay-Nonce"));
  CW_EXPECT_OK(user_->NewOrder({"a.test"}));
  ca_->Inject(Endpoint::kNewOrder, SetHeader("Replay-Nonce", "not base64url!"));
  CW_EXPECT_OK(user_->NewOrder({"a.test"}));
  CW_EXPECT_OK(user_->NewOrder({"a.test"}));
  EXPECT_EQ(ca_->reused_nonces(), 0);
}

TEST_F(CaServerTest, FaultsByChanceHitSomeRequests) {
  ca_->SetRandomFaults({.percent = 50, .seed = 7});
  int good = 0;
  for (int i = 0; i < 60; ++i) {
    http::HttpRequest request;
    request.url = ca_->directory_url();
    const auto response = user_->Send(std::move(request));
    good += response.ok() && response->status == 200 ? 1 : 0;
  }
  EXPECT_GT(good, 10);
  EXPECT_LT(good, 55);
  ca_->ClearFaults();
  CW_EXPECT_OK(user_->Issue({"a.test"}));
}

TEST_F(CaServerTest, RefusesSomeGoodNoncesAndCountsReusedOnes) {
  Behaviour behaviour;
  behaviour.bad_nonce_percent = 50;
  ca_->SetBehaviour(behaviour);
  CW_EXPECT_OK(user_->Issue({"a.test"}));
  EXPECT_EQ(ca_->reused_nonces(), 0);
  ca_->SetBehaviour({});
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order order, user_->NewOrder({"a.test"}));
  const std::string body = user_->Sign(order.url, user_->FreshNonce(), "");
  CW_EXPECT_OK(user_->Post(order.url, body));
  CW_EXPECT_OK(user_->Post(order.url, body));
  EXPECT_EQ(ca_->reused_nonces(), 1);
}

TEST_F(CaServerTest, NamesTheAlgorithmsThatItTakes) {
  Behaviour behaviour;
  behaviour.algorithms = {"RS256"};
  ca_->SetBehaviour(behaviour);
  const absl::Status status = user_->NewOrder({"a.test"}).status();
  EXPECT_TRUE(acme::HasProblemType(status, "badSignatureAlgorithm")) << status;
}

TEST_F(CaServerTest, AnOrderIsBornReadyOrGetsReadyByItself) {
  Behaviour behaviour;
  behaviour.authorizations_born_valid = true;
  ca_->SetBehaviour(behaviour);
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order born, user_->NewOrder({"a.test"}));
  EXPECT_EQ(born.status, OrderStatus::kReady);
  behaviour = Behaviour();
  behaviour.authorizations_valid_after = absl::Milliseconds(200);
  ca_->SetBehaviour(behaviour);
  CW_ASSERT_OK_AND_ASSIGN(acme::Order order, user_->NewOrder({"b.test"}));
  EXPECT_EQ(order.status, OrderStatus::kPending);
  const absl::Time end = absl::Now() + absl::Seconds(60);
  while (order.status == OrderStatus::kPending && absl::Now() < end) {
    CW_ASSERT_OK_AND_ASSIGN(order, user_->GetOrder(order.url));
  }
  EXPECT_EQ(order.status, OrderStatus::kReady);
}

TEST_F(CaServerTest, UsesOrdersAndAuthorizationsAgain) {
  Behaviour behaviour;
  behaviour.reuse_orders = true;
  behaviour.reuse_authorizations = true;
  ca_->SetBehaviour(behaviour);
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order first, user_->NewOrder({"a.test"}));
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order same, user_->NewOrder({"a.test"}));
  EXPECT_EQ(first.url, same.url);
  CW_ASSERT_OK(user_->Authorize(first));
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order other, user_->NewOrder({"a.test", "b.test"}));
  int valid = 0;
  for (const std::string& url : other.authorizations) {
    CW_ASSERT_OK_AND_ASSIGN(const acme::Authorization authorization, GetAuthorization(url));
    valid += authorization.status == AuthorizationStatus::kValid ? 1 : 0;
  }
  EXPECT_EQ(valid, 1);
}

TEST_F(CaServerTest, DropsAndAddsIdentifiers) {
  Behaviour behaviour;
  behaviour.drop_identifier = "b.test";
  ca_->SetBehaviour(behaviour);
  EXPECT_FALSE(user_->NewOrder({"a.test", "b.test"}).ok());
  behaviour = Behaviour();
  behaviour.add_identifier = "c.test";
  ca_->SetBehaviour(behaviour);
  EXPECT_FALSE(user_->NewOrder({"a.test"}).ok());
}

TEST_F(CaServerTest, ShufflesWithoutHarm) {
  Behaviour behaviour;
  behaviour.shuffle = true;
  behaviour.challenge_types = {"unknown-01", "dns-01", "http-01", "tls-alpn-01"};
  ca_->SetBehaviour(behaviour);
  const std::vector<std::string> names = {"a.test", "b.test", "c.test", "d.test"};
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, user_->Issue(names));
  CW_EXPECT_OK(AcmeUser::Verify(issued, names, ca_->root_pem()));
}

TEST_F(CaServerTest, RefusesNamesWithASubproblemEach) {
  Behaviour behaviour;
  behaviour.refused_names["bad.test"].type = "caa";
  ca_->SetBehaviour(behaviour);
  const absl::Status status = user_->NewOrder({"a.test", "x.bad.test"}).status();
  EXPECT_TRUE(acme::HasProblemType(status, "caa")) << status;
  EXPECT_THAT(status.message(), HasSubstr("x.bad.test"));
  CW_EXPECT_OK(user_->NewOrder({"a.test"}));
}

TEST_F(CaServerTest, AFailedValidationEndsAuthorizationAndOrder) {
  Behaviour behaviour;
  behaviour.failed_names["a.test"].type = "dns";
  ca_->SetBehaviour(behaviour);
  CW_ASSERT_OK_AND_ASSIGN(acme::Order order, user_->NewOrder({"a.test"}));
  CW_ASSERT_OK_AND_ASSIGN(order, user_->Authorize(order));
  EXPECT_EQ(order.status, OrderStatus::kInvalid);
  CW_ASSERT_OK_AND_ASSIGN(const acme::Authorization authorization,
                          GetAuthorization(order.authorizations[0]));
  EXPECT_EQ(authorization.status, AuthorizationStatus::kInvalid);
  ASSERT_TRUE(authorization.Error().has_value());
  EXPECT_THAT(authorization.Error()->type, HasSubstr("dns"));
}

TEST_F(CaServerTest, FinalizesAfterAWhileOrNever) {
  Behaviour behaviour;
  behaviour.processing = absl::Milliseconds(200);
  behaviour.finalize_has_location = false;
  ca_->SetBehaviour(behaviour);
  CW_EXPECT_OK(user_->Issue({"a.test"}));
  behaviour.processing = absl::InfiniteDuration();
  ca_->SetBehaviour(behaviour);
  CW_ASSERT_OK_AND_ASSIGN(acme::Order order, user_->NewOrder({"b.test"}));
  CW_ASSERT_OK_AND_ASSIGN(order, user_->Authorize(order));
  CW_ASSERT_OK_AND_ASSIGN(const std::string csr,
                          MakeCsrDer({"b.test"}, *pki::PrivateKey::Generate({})));
  CW_ASSERT_OK_AND_ASSIGN(
      order, user_->Run(user_->client().Finalize(AcmeUser::NewContext(), user_->signer(),
                                                 order.url, order.finalize, csr)));
  EXPECT_EQ(order.status, OrderStatus::kProcessing);
}

TEST_F(CaServerTest, SaysWhenToAskAgain) {
  Behaviour behaviour;
  behaviour.retry_after = absl::Seconds(7);
  ca_->SetBehaviour(behaviour);
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order order, user_->NewOrder({"a.test"}));
  ASSERT_TRUE(order.retry_at.has_value());
  EXPECT_GT(*order.retry_at, absl::Now() + absl::Seconds(5));
}

TEST_F(CaServerTest, ACertificateIsNotThereAtFirst) {
  Behaviour behaviour;
  behaviour.certificate_misses = 2;
  ca_->SetBehaviour(behaviour);
  CW_ASSERT_OK_AND_ASSIGN(acme::Order order, user_->NewOrder({"a.test"}));
  CW_ASSERT_OK_AND_ASSIGN(order, user_->Authorize(order));
  CW_ASSERT_OK_AND_ASSIGN(order,
                          user_->Finalize(order, *pki::PrivateKey::Generate({}), {"a.test"}));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(acme::ClassOf(user_->Download(order).status()), ErrorClass::kRetryBackoff);
  }
  CW_EXPECT_OK(user_->Download(order));
}

TEST_F(CaServerTest, ChainsAreWrongInEveryWay) {
  const std::vector<std::string> names = {"a.test", "b.test"};
  for (const ChainVariant wrong :
       {ChainVariant::kWithPrivateKey, ChainVariant::kForOtherKey, ChainVariant::kMissingName,
        ChainVariant::kExtraName, ChainVariant::kExpired, ChainVariant::kNotYetValid,
        ChainVariant::kWrongOrder, ChainVariant::kDuplicate,
        ChainVariant::kWithoutIntermediate}) {
    Behaviour behaviour;
    behaviour.chain = wrong;
    ca_->SetBehaviour(behaviour);
    const auto issued = user_->Issue(names);
    EXPECT_FALSE(issued.ok() && AcmeUser::Verify(*issued, names, ca_->root_pem()).ok())
        << static_cast<int>(wrong);
  }
  for (const ChainVariant right :
       {ChainVariant::kGood, ChainVariant::kWithRoot, ChainVariant::kOddPem,
        ChainVariant::kRunTogether, ChainVariant::kOldLabels, ChainVariant::kDer}) {
    Behaviour behaviour;
    behaviour.chain = right;
    ca_->SetBehaviour(behaviour);
    CW_ASSERT_OK_AND_ASSIGN(const Issued issued, user_->Issue(names));
    CW_EXPECT_OK(AcmeUser::Verify(issued, names, ca_->root_pem()));
  }
}

TEST_F(CaServerTest, EndsAuthorizationsAndForgetsAccounts) {
  CW_ASSERT_OK_AND_ASSIGN(acme::Order order, user_->NewOrder({"a.test"}));
  ca_->EndAuthorizations("revoked");
  CW_ASSERT_OK_AND_ASSIGN(order, user_->GetOrder(order.url));
  EXPECT_EQ(order.status, OrderStatus::kInvalid);
  ca_->ForgetAccounts();
  EXPECT_EQ(ca_->accounts(), 0);
  const absl::Status status = user_->NewOrder({"a.test"}).status();
  EXPECT_TRUE(acme::HasProblemType(status, "accountDoesNotExist")) << status;
}

TEST_F(CaServerTest, SuggestsTheRenewalThatItIsToldTo) {
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, user_->Issue({"a.test"}));
  const pki::Certificate& leaf = issued.chain.certificates[0];
  CW_ASSERT_OK_AND_ASSIGN(const std::string cert_id, acme::CertId(leaf));
  const auto ask = [&] {
    return user_->Run(user_->client().GetRenewalInfo(AcmeUser::NewContext(), cert_id));
  };
  const absl::Time now = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()));
  Behaviour behaviour;
  behaviour.renewal_window = {now - absl::Hours(2), now - absl::Hours(1), ""};
  behaviour.renewal_retry_after = absl::ZeroDuration();
  ca_->SetBehaviour(behaviour);
  CW_ASSERT_OK_AND_ASSIGN(const acme::RenewalInfo all, ask());
  EXPECT_EQ(all.window_end, now - absl::Hours(1));
  EXPECT_FALSE(all.retry_at.has_value());
  CW_ASSERT_OK(ca_->SuggestRenewal(
      leaf, {now + absl::Hours(1), now + absl::Hours(2), "https://ca.test/why"}));
  CW_ASSERT_OK_AND_ASSIGN(const acme::RenewalInfo one, ask());
  EXPECT_EQ(one.window_start, now + absl::Hours(1));
  EXPECT_EQ(one.explanation_url, "https://ca.test/why");
}

TEST_F(CaServerTest, ACertificateIsReplacedOnce) {
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, user_->Issue({"a.test"}));
  CW_ASSERT_OK_AND_ASSIGN(const std::string cert_id,
                          acme::CertId(issued.chain.certificates[0]));
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order first, user_->NewOrder({"a.test"}, "", cert_id));
  EXPECT_EQ(first.replaces, cert_id);
  // The client asks again without.
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order second, user_->NewOrder({"a.test"}, "", cert_id));
  EXPECT_EQ(second.replaces, "");
  EXPECT_EQ(ca_->requests(Endpoint::kNewOrder), 4);
}

TEST_F(CaServerTest, RemembersWhyACertificateWasRevoked) {
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, user_->Issue({"a.test"}));
  const pki::Certificate& leaf = issued.chain.certificates[0];
  EXPECT_EQ(ca_->RevocationReason(leaf), std::nullopt);
  CW_ASSERT_OK(user_->Run(user_->client().RevokeCertificate(
      AcmeUser::NewContext(), user_->signer(), leaf.der, acme::RevocationReason::kSuperseded)));
  EXPECT_EQ(ca_->RevocationReason(leaf), 4);
}

TEST_F(CaServerTest, ForgetsTheOldestOrders) {
  CaServerOptions options;
  options.max_orders = 2;
  StartCa(std::move(options));
  CW_ASSERT_OK(user_->Register());
  CW_ASSERT_OK_AND_ASSIGN(const Issued first, user_->Issue({"a.test"}));
  CW_ASSERT_OK(user_->Issue({"b.test"}));
  CW_ASSERT_OK(user_->Issue({"c.test"}));
  EXPECT_THAT(user_->GetOrder(first.order.url), StatusIs(absl::StatusCode::kNotFound));
}

class CaServerTlsTest : public testing::TestWithParam<TlsTrouble> {};

INSTANTIATE_TEST_SUITE_P(All, CaServerTlsTest,
                         testing::Values(TlsTrouble::kOtherName, TlsTrouble::kExpired,
                                         TlsTrouble::kUnknownCa));

TEST_P(CaServerTlsTest, NoClientTrustsIt) {
  CaServerOptions options;
  options.tls = GetParam();
  CW_ASSERT_OK_AND_ASSIGN(const auto ca, CaServer::Start(std::move(options)));
  AcmeUser user(ca->directory_url(), ca->tls_ca_pem());
  const absl::Status status = user.Register();
  EXPECT_EQ(acme::ClassOf(status), ErrorClass::kOperator) << status;
  EXPECT_EQ(ca->requests(Endpoint::kDirectory), 0);
}

}  // namespace
}  // namespace certwright::fakes
