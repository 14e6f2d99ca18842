// The same scenarios, with the product's client, against our own CA and against the newest
// Pebble: what holds for one must hold for the other, or our own is no CA.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/problem.h"
#include "lib/acme/renewal_info.h"
#include "lib/base/base64.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/certificate.h"
#include "tests/fakes/acme_user.h"
#include "tests/fakes/ca_server.h"
#include "tests/harness/pebble.h"

namespace certwright::fakes {
namespace {

using acme::AuthorizationStatus;
using acme::ErrorClass;
using acme::OrderStatus;
using base::StatusIs;
using ::testing::AnyOf;
using ::testing::ElementsAre;

constexpr char kMacKey[] = "thirty-two octets of a MAC key!!";

// A CA under test, which believes every proof.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual std::string directory_url() const = 0;
  virtual std::string tls_ca_pem() const = 0;
  virtual std::string RootPem(int number) const = 0;
};

class FakePeer final : public Peer {
 public:
  explicit FakePeer(bool external_account) {
    CaServerOptions options;
    options.validation.assume_valid = true;
    options.alternate_roots = 1;
    options.profiles = {{"standard", absl::Hours(90 * 24)}, {"brief", absl::Hours(6 * 24)}};
    if (external_account) options.external_accounts = {{"kid-1", kMacKey}};
    server_ = CaServer::Start(std::move(options)).value();
  }
  std::string directory_url() const override { return server_->directory_url(); }
  std::string tls_ca_pem() const override { return server_->tls_ca_pem(); }
  std::string RootPem(int number) const override {
    return server_->root_pem(static_cast<std::size_t>(number));
  }

 private:
  std::unique_ptr<CaServer> server_;
};

class PebblePeer final : public Peer {
 public:
  explicit PebblePeer(bool external_account) {
    harness::PebbleOptions options;
    options.folder = harness::MakeFolder("pebble");
    options.program = harness::kNewestPebble;
    options.always_valid = true;
    options.alternate_roots = 1;
    options.nonce_reject_percent = 0;
    options.authorization_reuse_percent = 0;
    options.retry_after = absl::Seconds(1);
    options.profiles = {{"standard", absl::Hours(90 * 24)}, {"brief", absl::Hours(6 * 24)}};
    if (external_account) {
      options.external_accounts = {{"kid-1", base::Base64UrlEncode(kMacKey)}};
    }
    pebble_ = harness::Pebble::Start(std::move(options)).value();
  }
  std::string directory_url() const override { return pebble_->directory_url(); }
  std::string tls_ca_pem() const override { return pebble_->tls_ca_pem(); }
  std::string RootPem(int number) const override {
    return pebble_->FetchRootPem(number).value();
  }

 private:
  std::unique_ptr<harness::Pebble> pebble_;
};

enum class PeerKind { kFake, kPebble };

class ConformanceTest : public testing::TestWithParam<PeerKind> {
 protected:
  static std::unique_ptr<Peer> MakePeer(bool external_account = false) {
    if (GetParam() == PeerKind::kFake) return std::make_unique<FakePeer>(external_account);
    return std::make_unique<PebblePeer>(external_account);
  }

  void SetUp() override {
    peer_ = MakePeer();
    user_ = std::make_unique<AcmeUser>(peer_->directory_url(), peer_->tls_ca_pem());
    CW_ASSERT_OK(user_->Register());
  }

  acme::Directory Directory() {
    return **user_->Run(user_->client().GetDirectory(AcmeUser::NewContext()));
  }
  // An order for one name, by hand.
  std::string OrderPayload(const std::string& name) {
    return absl::StrCat(R"({"identifiers":[{"type":"dns","value":")", name, R"("}]})");
  }

  std::unique_ptr<Peer> peer_;
  std::unique_ptr<AcmeUser> user_;
};

INSTANTIATE_TEST_SUITE_P(Peers, ConformanceTest,
                         testing::Values(PeerKind::kFake, PeerKind::kPebble),
                         [](const auto& info) {
                           return info.param == PeerKind::kFake ? "Fake" : "Pebble";
                         });

TEST_P(ConformanceTest, IssuesAChainThatVerifies) {
  const std::vector<std::string> names = {"*.example.test", "example.test", "www.other.test"};
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, user_->Issue(names));
  CW_EXPECT_OK(AcmeUser::Verify(issued, names, peer_->RootPem(0)));
  EXPECT_EQ(issued.order.status, OrderStatus::kValid);
}

TEST_P(ConformanceTest, AnAccountIsNewOnceAndFoundByItsKeyThen) {
  EXPECT_TRUE(user_->account().created);
  CW_ASSERT_OK_AND_ASSIGN(
      const acme::Account again,
      user_->Run(user_->client().NewAccount(AcmeUser::NewContext(), user_->key(), {})));
  EXPECT_FALSE(again.created);
  EXPECT_EQ(again.url, user_->account().url);
  CW_ASSERT_OK_AND_ASSIGN(const acme::Account found, user_->LookUp(user_->key()));
  EXPECT_EQ(found.url, user_->account().url);
  const absl::Status unknown = user_->LookUp(*pki::PrivateKey::Generate({})).status();
  EXPECT_EQ(acme::ClassOf(unknown), ErrorClass::kReregister) << unknown;
}

TEST_P(ConformanceTest, AnAccountMovesToAnotherKeyAndIsDeactivatedForGood) {
  const pki::PrivateKey other = *pki::PrivateKey::Generate({});
  CW_ASSERT_OK(user_->Run(user_->client().KeyChange(AcmeUser::NewContext(), user_->signer(),
                                                    user_->account().url,
                                                    user_->key().public_key(), other)));
  EXPECT_FALSE(user_->NewOrder({"a.test"}).ok());
  CW_ASSERT_OK_AND_ASSIGN(const acme::Account moved, user_->LookUp(other));
  EXPECT_EQ(moved.url, user_->account().url);
  acme::LocalJwsSigner signer(other, moved.url);
  CW_ASSERT_OK_AND_ASSIGN(
      const acme::Account updated,
      user_->Run(user_->client().UpdateAccount(AcmeUser::NewContext(), signer, moved.url,
                                               {"mailto:admin@example.test"})));
  EXPECT_THAT(updated.contacts, ElementsAre("mailto:admin@example.test"));
  CW_ASSERT_OK(
      user_->Run(user_->client().DeactivateAccount(AcmeUser::NewContext(), signer, moved.url)));
  EXPECT_FALSE(user_
                   ->Run(user_->client().UpdateAccount(AcmeUser::NewContext(), signer,
                                                       moved.url, {"mailto:a@example.test"}))
                   .ok());
}

TEST_P(ConformanceTest, AKeyThatAnotherAccountHasIsNotTaken) {
  AcmeUser second(peer_->directory_url(), peer_->tls_ca_pem());
  CW_ASSERT_OK(second.Register());
  const absl::Status refused = user_->Run(
      user_->client().KeyChange(AcmeUser::NewContext(), user_->signer(), user_->account().url,
                                user_->key().public_key(), second.key()));
  // Pebble 2.10.1 means to refuse it, but answers 200 and changes nothing.
  if (GetParam() == PeerKind::kFake) {
    EXPECT_EQ(acme::HttpStatusOf(refused), 409) << refused;
  }
  CW_ASSERT_OK_AND_ASSIGN(const acme::Account first_account, user_->LookUp(user_->key()));
  EXPECT_EQ(first_account.url, user_->account().url);
  CW_ASSERT_OK_AND_ASSIGN(const acme::Account second_account, user_->LookUp(second.key()));
  EXPECT_EQ(second_account.url, second.account().url);
}

TEST_P(ConformanceTest, AnExternalAccountMustBeBoundRightly) {
  user_.reset();
  peer_ = MakePeer(/*external_account=*/true);
  user_ = std::make_unique<AcmeUser>(peer_->directory_url(), peer_->tls_ca_pem());
  EXPECT_TRUE(Directory().meta.external_account_required);
  const absl::Status unbound = user_->Register();
  EXPECT_TRUE(acme::HasProblemType(unbound, "externalAccountRequired")) << unbound;
  const auto bind = [this](const std::string& mac_key) {
    acme::NewAccountRequest request;
    request.external_account =
        acme::ExternalAccount{"kid-1", base::Secret(base::Base64UrlEncode(mac_key))};
    return user_->Register(std::move(request));
  };
  EXPECT_FALSE(bind("some other octets, also quite many").ok());
  CW_EXPECT_OK(bind(kMacKey));
}

TEST_P(ConformanceTest, ANonceIsGoodOnceAndARefusalBringsAFreshOne) {
  const std::string url = Directory().new_order;
  const std::string nonce = user_->FreshNonce();
  CW_ASSERT_OK_AND_ASSIGN(const auto first,
                          user_->Post(url, user_->Sign(url, nonce, OrderPayload("a.test"))));
  EXPECT_EQ(first.status, 201);
  for (const std::string& bad : {nonce, std::string("AAAAAAAAAAAAAAAAAAAAAA")}) {
    CW_ASSERT_OK_AND_ASSIGN(const auto refused,
                            user_->Post(url, user_->Sign(url, bad, OrderPayload("a.test"))));
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(ProblemType(refused), "badNonce");
    const auto fresh = http::FindHeader(refused.headers, "Replay-Nonce");
    ASSERT_TRUE(fresh.has_value());
    CW_ASSERT_OK_AND_ASSIGN(const auto accepted,
                            user_->Post(url, user_->Sign(url, *fresh, OrderPayload("b.test"))));
    EXPECT_EQ(accepted.status, 201);
  }
}

TEST_P(ConformanceTest, AWrongSignatureIsRefused) {
  const std::string url = Directory().new_order;
  boost::json::object jws =
      boost::json::parse(user_->Sign(url, user_->FreshNonce(), OrderPayload("a.test")))
          .as_object();
  std::string signature(jws["signature"].as_string());
  signature[0] = signature[0] == 'A' ? 'B' : 'A';
  jws["signature"] = signature;
  CW_ASSERT_OK_AND_ASSIGN(const auto refused, user_->Post(url, boost::json::serialize(jws)));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(ProblemType(refused), "malformed");
}

TEST_P(ConformanceTest, AJwsForAnotherUrlIsRefused) {
  const acme::Directory directory = Directory();
  CW_ASSERT_OK_AND_ASSIGN(
      const auto refused,
      user_->Post(directory.new_order, user_->Sign(directory.revoke_cert, user_->FreshNonce(),
                                                   OrderPayload("a.test"))));
  // RFC 8555 §6.4 says "unauthorized"; Pebble says "malformed".
  EXPECT_THAT(refused.status, AnyOf(400, 401, 403));
  EXPECT_THAT(ProblemType(refused), AnyOf("unauthorized", "malformed"));
}

TEST_P(ConformanceTest, AnUnknownAccountIsSaidToBeSo) {
  const std::string url = Directory().new_order;
  acme::LocalJwsSigner stranger(user_->key(), user_->account().url + "0000");
  acme::NewOrderRequest request;
  request.identifiers = {acme::DnsIdentifier("a.test")};
  const absl::Status refused =
      user_->Run(user_->client().NewOrder(AcmeUser::NewContext(), stranger, request)).status();
  EXPECT_TRUE(acme::HasProblemType(refused, "accountDoesNotExist")) << refused;
}

TEST_P(ConformanceTest, OnlyTheRightMethodAndContentTypeWork) {
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order order, user_->NewOrder({"a.test"}));
  http::HttpRequest get;
  get.url = order.url;
  CW_ASSERT_OK_AND_ASSIGN(const auto answer, user_->Send(get));
  EXPECT_EQ(answer.status, 405);
  http::HttpRequest post;
  post.method = "POST";
  post.url = order.url;
  post.headers = {{"Content-Type", "application/json"}};
  post.body = user_->Sign(order.url, user_->FreshNonce(), "");
  CW_ASSERT_OK_AND_ASSIGN(const auto refused, user_->Send(post));
  EXPECT_EQ(refused.status, 415);
}

TEST_P(ConformanceTest, AnOrderIsFinalizedWhenItIsReadyAndNotBeforeOrAgain) {
  CW_ASSERT_OK_AND_ASSIGN(acme::Order order, user_->NewOrder({"a.test"}));
  EXPECT_EQ(order.status, OrderStatus::kPending);
  const pki::PrivateKey key = *pki::PrivateKey::Generate({});
  const absl::Status early = user_->Finalize(order, key, {"a.test"}).status();
  EXPECT_TRUE(acme::HasProblemType(early, "orderNotReady")) << early;
  CW_ASSERT_OK_AND_ASSIGN(order, user_->Authorize(order));
  EXPECT_EQ(order.status, OrderStatus::kReady);
  CW_ASSERT_OK_AND_ASSIGN(order, user_->Finalize(order, key, {"a.test"}));
  EXPECT_EQ(order.status, OrderStatus::kValid);
  const absl::Status late = user_->Finalize(order, key, {"a.test"}).status();
  EXPECT_TRUE(acme::HasProblemType(late, "orderNotReady")) << late;
}

TEST_P(ConformanceTest, AWrongCsrLeavesTheOrderReady) {
  CW_ASSERT_OK_AND_ASSIGN(acme::Order order, user_->NewOrder({"a.test"}));
  CW_ASSERT_OK_AND_ASSIGN(order, user_->Authorize(order));
  const pki::PrivateKey key = *pki::PrivateKey::Generate({});
  for (const std::vector<std::string>& names :
       {std::vector<std::string>{"b.test"}, {"a.test", "b.test"}}) {
    EXPECT_FALSE(user_->Finalize(order, key, names).ok());
  }
  // The account's own key.
  EXPECT_FALSE(user_->Finalize(order, user_->key(), {"a.test"}).ok());
  const absl::Status garbage =
      user_
          ->Run(user_->client().Finalize(AcmeUser::NewContext(), user_->signer(), order.url,
                                         order.finalize, "no request"))
          .status();
  EXPECT_FALSE(garbage.ok());
  CW_ASSERT_OK_AND_ASSIGN(order, user_->GetOrder(order.url));
  EXPECT_EQ(order.status, OrderStatus::kReady);
  CW_EXPECT_OK(user_->Finalize(order, key, {"a.test"}));
}

TEST_P(ConformanceTest, ADeactivatedAuthorizationEndsItsOrder) {
  CW_ASSERT_OK_AND_ASSIGN(acme::Order order, user_->NewOrder({"a.test", "b.test"}));
  CW_ASSERT_OK_AND_ASSIGN(
      const acme::Authorization gone,
      user_->Run(user_->client().DeactivateAuthorization(
          AcmeUser::NewContext(), user_->signer(), order.authorizations[0])));
  EXPECT_EQ(gone.status, AuthorizationStatus::kDeactivated);
  CW_ASSERT_OK_AND_ASSIGN(order, user_->GetOrder(order.url));
  EXPECT_EQ(order.status, OrderStatus::kInvalid);
}

TEST_P(ConformanceTest, AWildcardIsOnlyProvenByDns) {
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order order, user_->NewOrder({"*.a.test"}));
  CW_ASSERT_OK_AND_ASSIGN(
      const acme::Authorization authorization,
      user_->Run(user_->client().GetAuthorization(AcmeUser::NewContext(), user_->signer(),
                                                  order.authorizations[0])));
  EXPECT_TRUE(authorization.wildcard);
  EXPECT_EQ(authorization.identifier.value, "a.test");
  EXPECT_NE(authorization.Find("dns-01"), nullptr);
  EXPECT_EQ(authorization.Find("http-01"), nullptr);
}

TEST_P(ConformanceTest, AnotherAccountSeesNothing) {
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, user_->Issue({"a.test"}));
  AcmeUser second(peer_->directory_url(), peer_->tls_ca_pem());
  CW_ASSERT_OK(second.Register());
  EXPECT_FALSE(second.GetOrder(issued.order.url).ok());
  const absl::Status revoked = second.Run(second.client().RevokeCertificate(
      AcmeUser::NewContext(), second.signer(), issued.chain.certificates[0].der, std::nullopt));
  EXPECT_TRUE(acme::HasProblemType(revoked, "unauthorized")) << revoked;
}

TEST_P(ConformanceTest, RevokesByAccountAndByKeyAndTwice) {
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, user_->Issue({"a.test"}));
  const std::string der = issued.chain.certificates[0].der;
  for (int i = 0; i < 2; ++i) {
    CW_EXPECT_OK(user_->Run(user_->client().RevokeCertificate(
        AcmeUser::NewContext(), user_->signer(), der, acme::RevocationReason::kSuperseded)));
  }
  CW_ASSERT_OK_AND_ASSIGN(const Issued other, user_->Issue({"b.test"}));
  CW_EXPECT_OK(user_->Run(user_->client().RevokeCertificateByKey(
      AcmeUser::NewContext(), other.key, other.chain.certificates[0].der,
      acme::RevocationReason::kKeyCompromise)));
}

TEST_P(ConformanceTest, OffersAnAlternateChain) {
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, user_->Issue({"a.test"}));
  ASSERT_EQ(issued.chain.alternate_urls.size(), 1u);
  CW_ASSERT_OK_AND_ASSIGN(
      const acme::CertificateChain alternate,
      user_->Run(user_->client().DownloadAlternate(AcmeUser::NewContext(), user_->signer(),
                                                   issued.chain.alternate_urls[0])));
  CW_ASSERT_OK_AND_ASSIGN(const auto roots, pki::ParseChainPem(peer_->RootPem(1)));
  CW_EXPECT_OK(pki::VerifyAgainstRoots(alternate.certificates, roots, absl::Now()));
  EXPECT_EQ(alternate.certificates[0].der, issued.chain.certificates[0].der);
}

TEST_P(ConformanceTest, ProfilesDecideHowLongCertificatesAreValid) {
  EXPECT_EQ(Directory().meta.profiles.size(), 2u);
  CW_ASSERT_OK_AND_ASSIGN(const Issued brief, user_->Issue({"a.test"}, "brief"));
  const pki::Certificate& leaf = brief.chain.certificates[0];
  EXPECT_LE(leaf.not_after - leaf.not_before, absl::Hours(6 * 24 + 1));
  EXPECT_EQ(brief.order.profile, "brief");
  const absl::Status refused = user_->NewOrder({"a.test"}, "no-such-profile").status();
  EXPECT_TRUE(acme::HasProblemType(refused, "invalidProfile")) << refused;
}

TEST_P(ConformanceTest, SuggestsWhenToRenewAndKnowsWhatAnOrderReplaces) {
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, user_->Issue({"a.test"}));
  const pki::Certificate& leaf = issued.chain.certificates[0];
  CW_ASSERT_OK_AND_ASSIGN(const std::string cert_id, acme::CertId(leaf));
  CW_ASSERT_OK_AND_ASSIGN(
      const acme::RenewalInfo info,
      user_->Run(user_->client().GetRenewalInfo(AcmeUser::NewContext(), cert_id)));
  EXPECT_GT(info.window_end, leaf.not_before);
  EXPECT_LT(info.window_start, leaf.not_after);
  EXPECT_TRUE(info.retry_at.has_value());
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order order, user_->NewOrder({"a.test"}, "", cert_id));
  EXPECT_EQ(order.replaces, cert_id);
}

TEST_P(ConformanceTest, WhatIsNotThereIsNotFound) {
  CW_ASSERT_OK_AND_ASSIGN(const acme::Order order, user_->NewOrder({"a.test"}));
  EXPECT_THAT(user_->GetOrder(order.url + "9999"), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace certwright::fakes
