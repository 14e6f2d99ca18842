#include "services/issuer/issuer_reconciler.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "boost/json/serialize.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/fake_ca.h"
#include "lib/pki/jose.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {
namespace {

using acme::FakeAnswer;
using acme::Lose;
using acme::Refuse;
using acme::Reply;
using base::StatusIs;
using issuer::v1::Issuer;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr char kAccountUrl[] = "https://ca.test/account/1";
constexpr char kKey[] = "Issuer web/ca";

FakeAnswer Registered(int status = 201, const std::string& email = "a@ca.test") {
  return Reply(status,
               absl::StrCat(R"({"status": "valid", "contact": ["mailto:)", email, R"("]})"),
               {{"Location", kAccountUrl}});
}

class IssuerReconcilerTest : public IssuerWorld {
 protected:
  service::Environment CaEnvironment() {
    return {pool_.executor(), ca_.timers, base::Random::Real(), ca_.http, metrics_};
  }

  static issuer::v1::IssuerSpec MakeSpec() {
    issuer::v1::IssuerSpec spec;
    issuer::v1::AcmeIssuer& acme = *spec.mutable_acme();
    acme.set_server("https://ca.test/directory");
    acme.set_email("a@ca.test");
    acme.mutable_private_key_secret_ref()->set_name("ca-account-key");
    acme.mutable_private_key_secret_ref()->set_key("tls.key");
    return spec;
  }
  void CreateIssuer(const issuer::v1::IssuerSpec& spec = MakeSpec()) {
    Issuer issuer;
    issuer.mutable_metadata()->set_namespace_("web");
    issuer.mutable_metadata()->set_name("ca");
    *issuer.mutable_spec() = spec;
    CW_ASSERT_OK(Await(stores_->issuers.Create(Context(), issuer)));
  }
  void SetEmail(const std::string& email) {
    Issuer issuer = Read(stores_->issuers, "ca");
    issuer.mutable_spec()->mutable_acme()->set_email(email);
    CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  }
  absl::StatusOr<controller::Result> Pass(const std::string& key = kKey) {
    return Await(reconciler_.Reconcile(Context(), key));
  }
  absl::Status FindAccount() {
    meta::v1::IssuerRef ref;
    ref.set_name("ca");
    ref.set_kind(meta::v1::ISSUER_KIND_ISSUER);
    return Await(accounts_.Find(Context(), ref, "web")).status();
  }
  // "True Reason"
  std::string Ready() { return ConditionOf(Read(stores_->issuers, "ca")); }
  std::string Message() {
    const Issuer issuer = Read(stores_->issuers, "ca");
    const auto* ready = service::FindCondition(issuer.status().conditions(), "Ready");
    return ready == nullptr ? "" : ready->message();
  }
  std::string StoredKey(const std::string& resource_namespace = "web") {
    const auto secret =
        Await(stores_->secrets.Get(Context(), resource_namespace, "ca-account-key"));
    return secret.ok() ? secret->data().at("tls.key") : "";
  }
  // Of the key in the Secret.
  std::string Thumbprint() {
    return pki::JwkThumbprint(pki::PrivateKey::ParsePem(StoredKey())->public_key());
  }
  int Registrations() { return ca_.Count("POST", "/new-account"); }

  acme::FakeCa ca_;
  Accounts accounts_{CaEnvironment(), *stores_, "cluster-secrets"};
  SecretUsers secret_users_;
  PrivateCas private_cas_{nullptr, nullptr};
  IssuerReconciler reconciler_{CaEnvironment(), *stores_, accounts_, secret_users_,
                               private_cas_};
};

TEST_F(IssuerReconcilerTest, RegistersANewKeyAndSaysSo) {
  ca_.OnPost("/new-account", {Registered()});
  CreateIssuer();
  CW_ASSERT_OK_AND_ASSIGN(const controller::Result result, Pass());
  EXPECT_EQ(result.requeue_after, absl::Hours(6));
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  const issuer::v1::AcmeIssuerStatus status = Read(stores_->issuers, "ca").status().acme();
  EXPECT_EQ(status.uri(), kAccountUrl);
  EXPECT_EQ(status.server(), "https://ca.test/directory");
  EXPECT_EQ(status.last_registered_email(), "a@ca.test");
  EXPECT_EQ(status.account_key_thumbprint(), Thumbprint());
  ASSERT_THAT(ca_.sent(), SizeIs(1));
  EXPECT_EQ(boost::json::serialize(ca_.sent()[0].PayloadObject().at("contact")),
            R"(["mailto:a@ca.test"])");
  CW_EXPECT_OK(FindAccount());
}

TEST_F(IssuerReconcilerTest, ARegisteredIssuerIsLeftAlone) {
  ca_.OnPost("/new-account", {Registered()});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  const Issuer before = Read(stores_->issuers, "ca");
  const std::size_t requests = ca_.http.requests().size();
  CW_ASSERT_OK(Pass());
  EXPECT_THAT(ca_.http.requests(), SizeIs(requests));
  EXPECT_EQ(Read(stores_->issuers, "ca").metadata().resource_version(),
            before.metadata().resource_version());
}

// Fault 35.
TEST_F(IssuerReconcilerTest, ALostAnswerIsMadeGoodWithTheSameKey) {
  ca_.OnPost("/new-account", {Lose(), Lose(), Registered(200)});
  CreateIssuer();
  EXPECT_THAT(Pass(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(Ready(), "False ErrRegisterACMEAccount");
  const std::string key = StoredKey();
  EXPECT_NE(key, "");
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  EXPECT_EQ(StoredKey(), key);
  EXPECT_EQ(ca_.sent().front().header.at("jwk"), ca_.sent().back().header.at("jwk"));
}

TEST_F(IssuerReconcilerTest, ANewEmailIsToldToTheCa) {
  ca_.OnPost("/new-account", {Registered(), Registered(200)});
  ca_.OnPost("/account/1",
             {Reply(200, R"({"status": "valid", "contact": ["mailto:b@ca.test"]})")});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  SetEmail("b@ca.test");
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(ca_.sent().back().payload, R"({"contact":["mailto:b@ca.test"]})");
  EXPECT_EQ(ca_.sent().back().header.at("kid").as_string(), kAccountUrl);
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  EXPECT_EQ(Read(stores_->issuers, "ca").status().acme().last_registered_email(), "b@ca.test");
}

// Fault 106.
TEST_F(IssuerReconcilerTest, AnEmailInUnicodeIsEscaped) {
  ca_.OnPost("/new-account", {Registered()});
  ca_.OnPost("/account/1", {Reply(200, R"({"status": "valid"})")});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  for (const auto& [email, contact] :
       {std::pair{"j\u00f6rg@b\u00fccher.test", "mailto:j%C3%B6rg@xn--bcher-kva.test"},
        {"\u4f8b@ca.test", "mailto:%E4%BE%8B@ca.test"},
        {"a?b&c@ca.test", "mailto:a%3Fb%26c@ca.test"}}) {
    SetEmail(email);
    CW_ASSERT_OK(Pass());
    EXPECT_EQ(ca_.sent().back().payload, absl::StrCat(R"({"contact":[")", contact, R"("]})"));
    EXPECT_EQ(Read(stores_->issuers, "ca").status().acme().last_registered_email(), email);
  }
}

TEST_F(IssuerReconcilerTest, AnAccountThatTheCaKnewIsToldItsContacts) {
  ca_.OnPost("/new-account", {Registered(200, "old@ca.test")});
  ca_.OnPost("/account/1",
             {Reply(200, R"({"status": "valid", "contact": ["mailto:a@ca.test"]})")});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  ASSERT_THAT(ca_.sent(), SizeIs(2));
  EXPECT_EQ(ca_.sent().back().payload, R"({"contact":["mailto:a@ca.test"]})");
  EXPECT_EQ(Read(stores_->issuers, "ca").status().acme().last_registered_email(), "a@ca.test");
}

TEST_F(IssuerReconcilerTest, AnAccountThatTheCaKnewWithItsContactsIsLeftAsItIs) {
  ca_.OnPost("/new-account", {Registered(200)});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  EXPECT_THAT(ca_.sent(), SizeIs(1));
}

TEST_F(IssuerReconcilerTest, AnotherKeyIsRegisteredAnew) {
  ca_.OnPost("/new-account", {Registered()});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  const std::string first = Thumbprint();
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "ca-account-key")));
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Registrations(), 2);
  EXPECT_NE(Thumbprint(), first);
  EXPECT_EQ(Read(stores_->issuers, "ca").status().acme().account_key_thumbprint(),
            Thumbprint());
}

TEST_F(IssuerReconcilerTest, MakesAKeyOfTheAlgorithmThatIsAskedFor) {
  ca_.OnPost("/new-account", {Registered()});
  issuer::v1::IssuerSpec spec = MakeSpec();
  spec.mutable_acme()->set_account_key_algorithm(issuer::v1::ACCOUNT_KEY_ALGORITHM_ECDSA_P384);
  CreateIssuer(spec);
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(ca_.sent()[0].header.at("alg").as_string(), "ES384");
}

TEST_F(IssuerReconcilerTest, ARateLimitIsWaitedOut) {
  ca_.OnPost("/new-account", {Refuse(429, "rateLimited", {{"Retry-After", "120"}})});
  CreateIssuer();
  CW_ASSERT_OK_AND_ASSIGN(const controller::Result result, Pass());
  EXPECT_EQ(result.requeue_after, absl::Seconds(120));
  EXPECT_EQ(Ready(), "False ErrRegisterACMEAccount");
  EXPECT_THAT(Message(), HasSubstr("because of rateLimited"));
}

TEST_F(IssuerReconcilerTest, TroubleOfTheCaIsAnErrorThatIsTriedAgain) {
  ca_.OnPost("/new-account", {Refuse(500, "serverInternal")});
  CreateIssuer();
  EXPECT_THAT(Pass(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(Ready(), "False ErrRegisterACMEAccount");
  EXPECT_THAT(Message(), HasSubstr("because of serverInternal"));
}

class RefusalTest : public IssuerReconcilerTest,
                    public testing::WithParamInterface<const char*> {};

// Fault 32.
TEST_P(RefusalTest, WhatAPersonHasToMendIsNotHammered) {
  ca_.OnPost("/new-account", {Refuse(400, GetParam()), Registered()});
  CreateIssuer();
  CW_ASSERT_OK_AND_ASSIGN(const controller::Result result, Pass());
  EXPECT_GE(result.requeue_after, absl::Minutes(5));
  EXPECT_EQ(Ready(), "False ErrRegisterACMEAccount");
  EXPECT_THAT(Message(), HasSubstr(absl::StrCat("because of ", GetParam())));
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
}

INSTANTIATE_TEST_SUITE_P(Problems, RefusalTest,
                         testing::Values("invalidContact", "externalAccountRequired",
                                         "unsupportedContact", "unauthorized", "malformed"));

// Fault 30.
TEST_F(IssuerReconcilerTest, ADeactivatedAccountIsNotReady) {
  ca_.OnPost("/new-account",
             {Reply(200, R"({"status": "deactivated"})", {{"Location", kAccountUrl}})});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "False AccountDeactivated");
  EXPECT_THAT(Message(), AllOf(HasSubstr("deactivated"), HasSubstr("ca-account-key")));
}

// A CA whose user has to agree to new terms (RFC 8555 §7.3.3).
FakeAnswer WantsUser() {
  return Reply(403, R"({"type": "urn:ietf:params:acme:error:userActionRequired",
                        "detail": "terms of service have changed",
                        "instance": "https://ca.test/agreement?token=x"})",
               {{"Content-Type", "application/problem+json"}});
}

// Fault 33.
TEST_F(IssuerReconcilerTest, NewTermsAreShownWithThePageToVisit) {
  ca_.OnPost("/new-account", {WantsUser(), Registered(200)});
  CreateIssuer();
  CW_ASSERT_OK_AND_ASSIGN(const controller::Result result, Pass());
  EXPECT_EQ(result.requeue_after, absl::Minutes(10));
  EXPECT_EQ(Ready(), "False UserActionRequired");
  EXPECT_THAT(Message(), AllOf(HasSubstr("visit https://ca.test/agreement?token=x"),
                               HasSubstr("terms of service have changed")));
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
}

// Fault 33.
TEST_F(IssuerReconcilerTest, NewTermsAreShownWithTheLinkToThemWhereThereIsNoPage) {
  ca_.OnPost("/new-account",
             {Refuse(403, "userActionRequired",
                     {{"Link", "<https://ca.test/terms>; rel=\"terms-of-service\""}})});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  EXPECT_THAT(Message(), HasSubstr("visit https://ca.test/terms"));
}

TEST_F(IssuerReconcilerTest, AContactThatTheCaRefusesIsSaid) {
  ca_.OnPost("/new-account", {Registered()});
  ca_.OnPost("/account/1", {Refuse(400, "invalidContact"), WantsUser()});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  SetEmail("b@ca.test");
  CW_ASSERT_OK_AND_ASSIGN(const controller::Result result, Pass());
  EXPECT_EQ(result.requeue_after, absl::Minutes(10));
  EXPECT_EQ(Ready(), "False ErrUpdateACMEAccount");
  EXPECT_THAT(Message(), HasSubstr("because of invalidContact"));
  EXPECT_EQ(Read(stores_->issuers, "ca").status().acme().last_registered_email(), "a@ca.test");
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "False UserActionRequired");
  EXPECT_EQ(Registrations(), 1);
}

TEST_F(IssuerReconcilerTest, AnAccountThatIsForgottenWhenItsContactChangesIsRegisteredAgain) {
  ca_.OnPost("/new-account", {Registered(), Registered(201, "b@ca.test")});
  ca_.OnPost("/account/1", {Refuse(400, "accountDoesNotExist")});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  SetEmail("b@ca.test");
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Registrations(), 2);
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
}

TEST_F(IssuerReconcilerTest, TheAccountIsLookedUpEverySixHours) {
  ca_.OnPost("/new-account", {Registered(), Registered(200)});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  ca_.clock.Advance(absl::Hours(5));
  CW_ASSERT_OK_AND_ASSIGN(controller::Result result, Pass());
  EXPECT_EQ(result.requeue_after, absl::Hours(1));
  EXPECT_EQ(Registrations(), 1);
  ca_.clock.Advance(absl::Hours(1));
  const Issuer before = Read(stores_->issuers, "ca");
  CW_ASSERT_OK_AND_ASSIGN(result, Pass());
  EXPECT_EQ(result.requeue_after, absl::Hours(6));
  EXPECT_EQ(Registrations(), 2);
  EXPECT_TRUE(ca_.sent().back().PayloadObject().contains("onlyReturnExisting"));
  EXPECT_EQ(Read(stores_->issuers, "ca").metadata().resource_version(),
            before.metadata().resource_version());
}

// Fault 117.
TEST_F(IssuerReconcilerTest, AClockThatIsSetNeitherHurriesNorHoldsUpLookUps) {
  ca_.OnPost("/new-account", {Registered(), Registered(200), Registered(200)});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  for (const absl::Duration step : {absl::Hours(24), -absl::Hours(48), absl::Minutes(1)}) {
    ca_.clock.StepWall(step);
    CW_ASSERT_OK_AND_ASSIGN(const controller::Result result, Pass());
    EXPECT_EQ(result.requeue_after, absl::Hours(6)) << step;
    EXPECT_EQ(Registrations(), 1) << step;
  }
  ca_.clock.StepWall(-absl::Hours(24));
  ca_.clock.Advance(absl::Hours(6));
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Registrations(), 2);
}

TEST_F(IssuerReconcilerTest, AfterAStartAccountsAreLookedUpAtTimesOfTheirOwn) {
  ca_.OnPost("/new-account", {Registered()});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  IssuerReconciler restarted(CaEnvironment(), *stores_, accounts_, secret_users_, private_cas_);
  CW_ASSERT_OK_AND_ASSIGN(const controller::Result result,
                          Await(restarted.Reconcile(Context(), kKey)));
  EXPECT_LE(result.requeue_after, absl::Hours(6));
  EXPECT_EQ(Registrations(), 1);
}

// An order that waits because of its issuer's account.
order::v1::Order DoubtingOrder(const std::string& reason) {
  order::v1::Order order;
  order.mutable_metadata()->set_namespace_("web");
  order.mutable_spec()->mutable_issuer_ref()->set_name("ca");
  order.mutable_spec()->mutable_issuer_ref()->set_kind(meta::v1::ISSUER_KIND_ISSUER);
  service::SetCondition(*order.mutable_status()->mutable_conditions(),
                        {"Ready", false, reason, ""}, 1, absl::UnixEpoch());
  return order;
}

// Fault 29.
TEST_F(IssuerReconcilerTest, AnAccountThatAnOrderMissesIsLookedUpAndRegisteredAgainOnce) {
  ca_.OnPost("/new-account",
             {Registered(), Refuse(400, "accountDoesNotExist"),
              Reply(201, R"({"status": "valid", "contact": ["mailto:a@ca.test"]})",
                    {{"Location", "https://ca.test/account/2"}})});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  const order::v1::Order pending = DoubtingOrder("Pending");
  const order::v1::Order doubting = DoubtingOrder("AccountDoesNotExist");
  EXPECT_EQ(reconciler_.DoubtedBy(nullptr, &pending), "");
  EXPECT_EQ(reconciler_.DoubtedBy(&doubting, nullptr), "");
  EXPECT_EQ(reconciler_.DoubtedBy(&pending, &doubting), kKey);
  EXPECT_EQ(reconciler_.DoubtedBy(&doubting, &doubting), "") << "nothing new";
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Registrations(), 3);
  EXPECT_EQ(ca_.sent()[0].header.at("jwk"), ca_.sent()[2].header.at("jwk"));
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  EXPECT_EQ(Read(stores_->issuers, "ca").status().acme().uri(), "https://ca.test/account/2");
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Registrations(), 3);
}

// Fault 33.
TEST_F(IssuerReconcilerTest, NewTermsThatAnOrderMetAreFoundByLookingUp) {
  ca_.OnPost("/new-account", {Registered(), WantsUser()});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  const order::v1::Order doubting = DoubtingOrder("UserActionRequired");
  EXPECT_EQ(reconciler_.DoubtedBy(nullptr, &doubting), kKey);
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "False UserActionRequired");
}

// Fault 30.
TEST_F(IssuerReconcilerTest, AnOrderRefusedAsUnauthorizedHasTheAccountLookedUp) {
  ca_.OnPost("/new-account", {Registered(), Refuse(403, "unauthorized")});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  order::v1::Order refused = DoubtingOrder("Failed");
  refused.mutable_status()->add_failures()->set_type("unauthorized");
  order::v1::Order unproven = refused;
  unproven.mutable_status()->set_url("https://ca.test/order/1");
  order::v1::Order ended_under_way = unproven;
  unproven.mutable_status()->mutable_failures(0)->set_identifier("www.example.test");
  EXPECT_EQ(reconciler_.DoubtedBy(nullptr, &unproven), "") << "that was a proof of ours";
  EXPECT_EQ(reconciler_.DoubtedBy(nullptr, &ended_under_way), kKey);
  EXPECT_EQ(reconciler_.DoubtedBy(nullptr, &refused), kKey);
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "False ErrVerifyACMEAccount");
}

// Fault 30.
TEST_F(IssuerReconcilerTest, AnAccountThatTheCaEndedIsFoundByLookingUp) {
  ca_.OnPost("/new-account", {Registered(), Refuse(403, "unauthorized")});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  accounts_.Doubt(kKey);
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "False ErrVerifyACMEAccount");
  EXPECT_THAT(Message(), HasSubstr("because of unauthorized"));
}

TEST_F(IssuerReconcilerTest, ACaThatCannotBeAskedLeavesTheIssuerReady) {
  ca_.OnPost("/new-account",
             {Registered(), Refuse(500, "serverInternal"), Refuse(429, "rateLimited"),
              Reply(403, "<html>", {{"Content-Type", "text/html"}}), Registered(200)});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  ca_.clock.Advance(absl::Hours(6));
  for (int i = 0; i < 3; ++i) {
    CW_ASSERT_OK_AND_ASSIGN(const controller::Result result, Pass());
    EXPECT_EQ(result.requeue_after, absl::Minutes(1));
    EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
    ca_.clock.Advance(absl::Minutes(1));
  }
  CW_ASSERT_OK_AND_ASSIGN(const controller::Result result, Pass());
  EXPECT_EQ(result.requeue_after, absl::Hours(6));
  EXPECT_EQ(Registrations(), 5);
}

TEST_F(IssuerReconcilerTest, AKeyThatShallNotBeMadeIsWaitedFor) {
  ca_.OnPost("/new-account", {Registered()});
  issuer::v1::IssuerSpec spec = MakeSpec();
  spec.mutable_acme()->set_disable_account_key_generation(true);
  CreateIssuer(spec);
  CW_ASSERT_OK_AND_ASSIGN(const controller::Result result, Pass());
  EXPECT_FALSE(result.requeue_after.has_value());
  EXPECT_EQ(Ready(), "False AccountKeyMissing");
  EXPECT_THAT(Message(), HasSubstr("web/ca-account-key"));
  EXPECT_EQ(StoredKey(), "");
  EXPECT_EQ(Registrations(), 0);

  CreateSecret("web", "ca-account-key", "tls.key",
               std::string(acme::TestKey().ToPem().Reveal()));
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  EXPECT_EQ(Read(stores_->issuers, "ca").status().acme().account_key_thumbprint(),
            pki::JwkThumbprint(acme::TestKey().public_key()));
}

TEST_F(IssuerReconcilerTest, ASecretWithoutTheKeyIsNamedAndLeftAsItIs) {
  CreateSecret("web", "ca-account-key", "password", "x");
  CreateIssuer();
  CW_EXPECT_OK(Pass());
  EXPECT_EQ(Ready(), "False AccountKeyMissing");
  EXPECT_THAT(Message(), AllOf(HasSubstr("web/ca-account-key"), HasSubstr("tls.key")));
  EXPECT_EQ(Await(stores_->secrets.Get(Context(), "web", "ca-account-key"))->data().size(), 1u);
}

TEST_F(IssuerReconcilerTest, ASecretThatHoldsNoKeyIsNamedWithoutItsValue) {
  CreateSecret("web", "ca-account-key", "tls.key", "hunter2");
  CreateIssuer();
  CW_EXPECT_OK(Pass());
  EXPECT_EQ(Ready(), "False InvalidConfig");
  EXPECT_THAT(Message(), AllOf(HasSubstr("ca-account-key"), Not(HasSubstr("hunter2"))));
  EXPECT_EQ(Registrations(), 0);
}

TEST_F(IssuerReconcilerTest, AnExternalAccountIsBoundWithItsSecret) {
  ca_.OnPost("/new-account", {Registered()});
  issuer::v1::IssuerSpec spec = MakeSpec();
  auto& binding = *spec.mutable_acme()->mutable_external_account_binding();
  binding.set_key_id("kid-1");
  binding.mutable_key_secret_ref()->set_name("eab");
  binding.mutable_key_secret_ref()->set_key("secret");
  CreateIssuer(spec);
  CW_EXPECT_OK(Pass());
  EXPECT_THAT(Message(), HasSubstr("Secret web/eab"));
  EXPECT_EQ(Registrations(), 0);

  CreateSecret("web", "eab", "secret", "c2VjcmV0IGtleQ");
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  EXPECT_TRUE(ca_.sent()[0].PayloadObject().contains("externalAccountBinding"));
}

TEST_F(IssuerReconcilerTest, AClusterIssuersKeyIsInTheClusterNamespace) {
  ca_.OnPost("/new-account", {Registered()});
  issuer::v1::ClusterIssuer issuer;
  issuer.mutable_metadata()->set_name("ca");
  *issuer.mutable_spec() = MakeSpec();
  CW_ASSERT_OK(Await(stores_->cluster_issuers.Create(Context(), issuer)));
  CW_ASSERT_OK(Pass("ClusterIssuer ca"));
  CW_ASSERT_OK_AND_ASSIGN(const auto registered,
                          Await(stores_->cluster_issuers.Get(Context(), "", "ca")));
  EXPECT_EQ(ConditionOf(registered), "True ACMEAccountRegistered");
  EXPECT_NE(StoredKey("cluster-secrets"), "");
  EXPECT_EQ(StoredKey("web"), "");
}

TEST_F(IssuerReconcilerTest, AReportAboutAnOlderSpecIsNotWritten) {
  // The user changes the issuer while the CA answers.
  ca_.OnPost("/new-account", {[this](const acme::SentJws& jws) {
               SetEmail("b@ca.test");
               return Registered()(jws);
             }});
  CreateIssuer();
  EXPECT_THAT(Pass(), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Ready(), "");
}

TEST_F(IssuerReconcilerTest, ADeletedIssuerIsForgotten) {
  ca_.OnPost("/new-account", {Registered()});
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  CW_ASSERT_OK(FindAccount());
  CW_ASSERT_OK(Await(stores_->issuers.Delete(Context(), "web", "ca")));
  CW_EXPECT_OK(Pass());
  EXPECT_THAT(FindAccount(), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace certwright::issuer_service
