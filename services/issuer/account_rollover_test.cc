#include "services/issuer/account_rollover.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/rpc/status.h"
#include "services/issuer/account_testing.h"

namespace certwright::issuer_service {
namespace {

using acme::Lose;
using acme::Refuse;
using base::IsOkAndHolds;
using base::StatusIs;
using testing::HasSubstr;
using testing::Not;

class AccountRolloverTest : public AccountWorld {
 protected:
  absl::Status RollOver() { return Await(rollover_.RollOver(Context(), Issuer())).status(); }
  absl::StatusOr<bool> Finish() { return Await(rollover_.Finish(Context(), Issuer())); }
  int Changes() { return ca_.Count("POST", "/key-change"); }
  std::string ReasonOfRefusal() {
    const absl::Status status = RollOver();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_EQ(Stored("next-tls.key"), "");
    return rpc::ErrorReasonOf(status);
  }
  std::string Rolled() {
    return ConditionOf(Read(stores_->issuers, "ca"), "AccountKeyRolledOver");
  }
  // The account has the key of the Secret, alone, and its issuer knows.
  void ExpectSettled() {
    ASSERT_NE(Stored(), "");
    EXPECT_EQ(ca_.keys.at(0), AccountsCa::JwkOf(ParseKey(Stored())));
    EXPECT_EQ(Stored("next-tls.key"), "");
    EXPECT_EQ(StatusThumbprint(), ThumbprintOf(Stored()));
    CW_EXPECT_OK(FindAccount());
    EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  }

  AccountRollover rollover_{CaEnvironment(), *stores_, accounts_};
};

TEST_F(AccountRolloverTest, GivesTheAccountANewKeyThatWasWrittenDownBefore) {
  Register();
  const std::string old_key = Stored();
  CW_ASSERT_OK(FindAccount());
  std::string waiting;
  ca_.faults["/key-change"] = {{[&](const acme::SentJws& jws) {
                                  waiting = Stored("next-tls.key");
                                  EXPECT_EQ(Stored(), old_key);
                                  // Nothing is signed with a key that may be an old one.
                                  EXPECT_THAT(FindAccount(),
                                              StatusIs(absl::StatusCode::kUnavailable));
                                  return acme::Reply(200, "{}")(jws);
                                },
                                /*done=*/true}};
  CW_ASSERT_OK(RollOver());
  ExpectSettled();
  EXPECT_EQ(Stored(), waiting);
  EXPECT_NE(Stored(), old_key);
  EXPECT_EQ(Changes(), 1);
  EXPECT_THAT(Finish(), IsOkAndHolds(false));
}

TEST_F(AccountRolloverTest, TheNewKeyIsOfTheAlgorithmOfTheSpec) {
  Register();
  issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
  issuer.mutable_spec()->mutable_acme()->set_account_key_algorithm(
      issuer::v1::ACCOUNT_KEY_ALGORITHM_ECDSA_P384);
  CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  CW_ASSERT_OK(Pass());
  CW_ASSERT_OK(RollOver());
  EXPECT_EQ(ParseKey(Stored()).spec().size, 384);
  ExpectSettled();
}

// Fault 34.
TEST_F(AccountRolloverTest, AKillBeforeTheCaHeardIsFinishedWithTheSameKey) {
  Register();
  const std::string next = StoreNextKey();
  EXPECT_THAT(FindAccount(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Finish(), IsOkAndHolds(true));
  EXPECT_EQ(Stored(), next);
  EXPECT_EQ(Changes(), 1);
  ExpectSettled();
}

// Fault 34.
TEST_F(AccountRolloverTest, AKillAfterTheCaHeardIsFinishedWithoutAskingForMore) {
  Register();
  const std::string next = StoreNextKey();
  ca_.keys[0] = AccountsCa::JwkOf(ParseKey(next));
  CW_ASSERT_OK(RollOver());
  EXPECT_EQ(Stored(), next);
  EXPECT_EQ(Changes(), 0);
  ExpectSettled();
}

TEST_F(AccountRolloverTest, TheReconcilerFinishesWhatWasLeft) {
  Register();
  const std::string next = StoreNextKey();
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Stored(), next);
  ExpectSettled();
}

TEST_F(AccountRolloverTest, ALostAnswerIsMadeGood) {
  Register();
  ca_.faults["/key-change"] = {{Lose(), /*done=*/true}};
  CW_ASSERT_OK(RollOver());
  ExpectSettled();
}

TEST_F(AccountRolloverTest, ACaThatIsNotReachedIsTriedAgainWithTheSameKey) {
  Register();
  ca_.faults["/key-change"] = {{Lose()}};
  ca_.faults["/new-account"] = {{Lose()}, {Lose()}, {Lose()}, {Lose()}};
  EXPECT_THAT(RollOver(), StatusIs(absl::StatusCode::kUnavailable));
  const std::string next = Stored("next-tls.key");
  EXPECT_NE(next, "");
  EXPECT_THAT(Pass(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(Ready(), "False ErrUpdateACMEAccount");
  EXPECT_THAT(Message(), HasSubstr("not finished"));
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Stored(), next);
  ExpectSettled();
}

TEST_F(AccountRolloverTest, AKeyThatTheCaRefusesIsDropped) {
  Register();
  const std::string old_key = Stored();
  ca_.faults["/key-change"] = {{Refuse(400, "badPublicKey")}};
  const absl::Status refused = RollOver();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("because of badPublicKey")));
  EXPECT_EQ(rpc::ErrorReasonOf(refused), "CA_REFUSED");
  EXPECT_EQ(Stored(), old_key);
  ExpectSettled();
}

// Fault 113.
TEST_F(AccountRolloverTest, AnyAnswerThatLeavesTheOldKeyEndsTheRollover) {
  Register();
  const std::string old_key = Stored();
  const std::vector<http::Header> text = {{"Content-Type", "text/plain"}};
  for (const acme::FakeAnswer& answer :
       {Refuse(501, "notImplemented"), acme::Reply(501, "", text), acme::Reply(405, "", text),
        acme::Reply(404, "", text), Refuse(400, "malformed"), Refuse(403, "unauthorized"),
        Refuse(429, "rateLimited"), Refuse(500, "serverInternal"), acme::Reply(503, "", text),
        acme::Reply(302, "", text), Refuse(409, "malformed"),
        // It says that it did.
        acme::Reply(200, "{}"), acme::Reply(204, "")}) {
    ca_.faults["/key-change"] = {{answer}};
    const absl::Status refused = RollOver();
    EXPECT_FALSE(refused.ok());
    EXPECT_THAT(refused.message(), HasSubstr("did not take the new account key"));
    EXPECT_EQ(Stored(), old_key);
    ExpectSettled();
    EXPECT_EQ(Rolled(), "False Refused");
    // The next pass has nothing to do.
    CW_EXPECT_OK(Pass());
    ExpectSettled();
  }
  CW_ASSERT_OK(RollOver());
  ExpectSettled();
  EXPECT_NE(Stored(), old_key);
  EXPECT_EQ(Rolled(), "");
}

// Fault 113.
TEST_F(AccountRolloverTest, WhatWillNeverWorkIsNoOutage) {
  Register();
  for (const acme::FakeAnswer& answer :
       {Refuse(501, "notImplemented"), acme::Reply(501, ""), acme::Reply(405, ""),
        acme::Reply(404, ""), Refuse(400, "malformed"), acme::Reply(200, "{}")}) {
    ca_.faults["/key-change"] = {{answer}};
    EXPECT_EQ(ReasonOfRefusal(), "CA_REFUSED");
  }
  for (const acme::FakeAnswer& answer :
       {Refuse(503, "serverInternal"), Refuse(500, "serverInternal")}) {
    ca_.faults["/key-change"] = {{answer}};
    EXPECT_THAT(RollOver(), StatusIs(absl::StatusCode::kUnavailable));
  }
}

// Fault 113.
TEST_F(AccountRolloverTest, ACaWithoutKeyChangeInItsDirectoryEndsTheRollover) {
  ca_.http.On("GET", "https://ca.test/plain")
      .Reply(200, R"({"newNonce": "https://ca.test/nonce",
                      "newAccount": "https://ca.test/new-account",
                      "newOrder": "https://ca.test/new-order", "keyChange": "/key-change"})");
  issuer::v1::Issuer plain = MakeIssuer();
  plain.mutable_spec()->mutable_acme()->set_server("https://ca.test/plain");
  CreateIssuer(plain);
  CW_ASSERT_OK(Pass());
  const std::string old_key = Stored();
  EXPECT_EQ(ReasonOfRefusal(), "CA_REFUSED");
  EXPECT_EQ(Stored(), old_key);
  EXPECT_EQ(Changes(), 0);
  ExpectSettled();
  EXPECT_EQ(Rolled(), "False Refused");
}

// Fault 113.
TEST_F(AccountRolloverTest, AfterARestartARefusedRolloverIsEndedAndTheIssuerGoesOn) {
  Register();
  const std::string old_key = Stored();
  for (const acme::FakeAnswer& answer :
       {Refuse(501, "notImplemented"), acme::Reply(405, ""), Refuse(403, "unauthorized")}) {
    StoreNextKey();
    EXPECT_THAT(FindAccount(), StatusIs(absl::StatusCode::kUnavailable));
    ca_.faults["/key-change"] = {{answer}};
    CW_EXPECT_OK(Pass());
    EXPECT_EQ(Stored(), old_key);
    ExpectSettled();
    EXPECT_EQ(Rolled(), "False Refused");
  }
}

// Fault 113.
TEST_F(AccountRolloverTest, ACaThatDoesNotSpeakOfUnknownKeysIsAskedAboutThePresentOne) {
  Register();
  const std::string old_key = Stored();
  for (const acme::FakeAnswer& no_answer :
       {Refuse(400, "malformed"), Refuse(403, "unauthorized"), acme::Reply(404, "")}) {
    ca_.faults["/key-change"] = {{Refuse(501, "notImplemented")}};
    ca_.faults["/new-account"] = {{no_answer}};
    EXPECT_EQ(ReasonOfRefusal(), "CA_REFUSED");
    EXPECT_EQ(Stored(), old_key);
    ExpectSettled();
    // The same after a restart.
    StoreNextKey();
    ca_.faults["/key-change"] = {{Refuse(501, "notImplemented")}};
    ca_.faults["/new-account"] = {{no_answer}};
    CW_EXPECT_OK(Pass());
    ExpectSettled();
  }
}

// Fault 113.
TEST_F(AccountRolloverTest, ALostAnswerKeepsTheKeyThoughNobodyHasItYet) {
  Register();
  // The change may still be on its way.
  for (const acme::FakeAnswer& lost : {Lose(), acme::Reply(408, ""), acme::Reply(504, ""),
                                       acme::Reply(502, "<html>gateway</html>")}) {
    ca_.faults["/key-change"] = {{lost}};
    EXPECT_THAT(RollOver(), StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_NE(Stored("next-tls.key"), "");
    EXPECT_EQ(Rolled(), "");
    EXPECT_THAT(FindAccount(), StatusIs(absl::StatusCode::kUnavailable));
  }
  const std::string next = Stored("next-tls.key");
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Stored(), next);
  ExpectSettled();
}

TEST_F(AccountRolloverTest, AKeyThatSomebodyPutInPlaceOfTheNewOneIsNotTakenForIt) {
  Register();
  const std::string old_key = Stored();
  std::string other;
  ca_.faults["/key-change"] = {{[&](const acme::SentJws& jws) {
                                  other = StoreNextKey();
                                  return acme::Reply(200, "{}")(jws);
                                },
                                /*done=*/true}};
  EXPECT_THAT(RollOver(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                   HasSubstr("delete the Secret to register another")));
  EXPECT_EQ(Stored(), old_key);
  EXPECT_EQ(Stored("next-tls.key"), other);
  EXPECT_EQ(StatusThumbprint(), ThumbprintOf(old_key));
}

TEST_F(AccountRolloverTest, ADeactivatedAccountGetsNoNewKey) {
  Register();
  const std::string old_key = Stored();
  issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
  *issuer.mutable_status()->mutable_acme()->mutable_deactivated_time() =
      service::ToProto(clock_.Now());
  WriteStatus(stores_->issuers, issuer);
  EXPECT_EQ(ReasonOfRefusal(), "ACCOUNT_DEACTIVATED");
  // Nor does one that was on its way.
  StoreNextKey();
  EXPECT_THAT(Finish(), IsOkAndHolds(true));
  EXPECT_EQ(Changes(), 0);
  EXPECT_EQ(Stored(), old_key);
  EXPECT_EQ(Stored("next-tls.key"), "");
}

// Fault 34.
TEST_F(AccountRolloverTest, AKeyThatAnotherAccountHasIsDropped) {
  Register();
  const std::string old_key = Stored();
  const std::string next = StoreNextKey();
  ca_.keys.push_back(AccountsCa::JwkOf(ParseKey(next)));
  EXPECT_THAT(RollOver(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another account")));
  EXPECT_EQ(Stored(), old_key);
  ExpectSettled();
}

TEST_F(AccountRolloverTest, TheSecondOfTwoAtOnceIsRefused) {
  Register();
  ca_.faults["/key-change"] = {{[&](const acme::SentJws& jws) {
                                  EXPECT_THAT(RollOver(), StatusIs(absl::StatusCode::kAborted));
                                  EXPECT_THAT(Finish(), StatusIs(absl::StatusCode::kAborted));
                                  // The reconciler looks again after whoever is at it.
                                  EXPECT_EQ(Pass()->requeue_after, absl::Seconds(5));
                                  return acme::Reply(200, "{}")(jws);
                                },
                                /*done=*/true}};
  CW_ASSERT_OK(RollOver());
  EXPECT_EQ(Changes(), 1);
  ExpectSettled();
}

TEST_F(AccountRolloverTest, AnotherProcessMayBeFirst) {
  Register();
  Accounts other_accounts(CaEnvironment(), *stores_, "cluster-secrets");
  AccountRollover other(CaEnvironment(), *stores_, other_accounts);
  ca_.faults["/key-change"] = {{[&](const acme::SentJws& jws) {
    EXPECT_THAT(Await(other.Finish(Context(), Issuer())), IsOkAndHolds(true));
    return Refuse(403, "unauthorized")(jws);
  }}};
  CW_ASSERT_OK(RollOver());
  EXPECT_EQ(Changes(), 2);
  ExpectSettled();
}

TEST_F(AccountRolloverTest, AStatusThatIsWrittenMeanwhileIsNotLost) {
  Register();
  ca_.faults["/key-change"] = {{[&](const acme::SentJws& jws) {
                                  issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
                                  service::SetCondition(
                                      *issuer.mutable_status()->mutable_conditions(),
                                      {"Other", true, "Meanwhile", ""}, 1, clock_.Now());
                                  WriteStatus(stores_->issuers, issuer);
                                  return acme::Reply(200, "{}")(jws);
                                },
                                /*done=*/true}};
  CW_ASSERT_OK(RollOver());
  ExpectSettled();
  EXPECT_EQ(ConditionOf(Read(stores_->issuers, "ca"), "Other"), "True Meanwhile");
}

TEST_F(AccountRolloverTest, AnIssuerMadeAnewFindsTheKeyThatItsAccountHas) {
  Register();
  const std::string next = StoreNextKey();
  ca_.keys[0] = AccountsCa::JwkOf(ParseKey(next));
  CW_ASSERT_OK(Await(stores_->issuers.Delete(Context(), "web", "ca")));
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Stored(), next);
  ExpectSettled();
  EXPECT_EQ(ca_.keys.size(), 1u);
}

TEST_F(AccountRolloverTest, AKeyThatNoAccountWaitsForIsDropped) {
  Register();
  const std::string old_key = Stored();
  StoreNextKey();
  CW_ASSERT_OK(Await(stores_->issuers.Delete(Context(), "web", "ca")));
  CreateIssuer();
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Stored(), old_key);
  EXPECT_EQ(Changes(), 0);
  ExpectSettled();
}

TEST_F(AccountRolloverTest, AKeyIsSharedByClusterIssuersToo) {
  const auto cluster = [this](const std::string& name, const std::string& server) {
    issuer::v1::ClusterIssuer issuer;
    issuer.mutable_metadata()->set_name(name);
    *issuer.mutable_spec() = MakeIssuer().spec();
    issuer.mutable_spec()->mutable_acme()->set_server(server);
    CW_ASSERT_OK(Await(stores_->cluster_issuers.Create(Context(), issuer)));
  };
  const auto roll_over = [this](const std::string& name) {
    meta::v1::IssuerRef ref;
    ref.set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
    ref.set_name(name);
    return Await(
               rollover_.RollOver(Context(), *Await(accounts_.FindIssuer(Context(), ref, ""))))
        .status();
  };
  cluster("here", "https://ca.test/directory");
  CW_ASSERT_OK(Pass("ClusterIssuer here"));
  cluster("elsewhere", "https://other.test/directory");
  EXPECT_EQ(rpc::ErrorReasonOf(roll_over("here")), "KEY_IS_SHARED");
  EXPECT_THAT(std::string(roll_over("here").message()), HasSubstr("ClusterIssuer elsewhere"));
  CW_ASSERT_OK(Await(stores_->cluster_issuers.Delete(Context(), "", "elsewhere")));
  // One at the same server has the same account; one of a namespace has another Secret.
  cluster("twin", "https://ca.test/directory");
  issuer::v1::Issuer apart = MakeIssuer("apart");
  apart.mutable_spec()->mutable_acme()->set_server("https://other.test/directory");
  CreateIssuer(apart);
  CW_EXPECT_OK(roll_over("here"));
}

TEST_F(AccountRolloverTest, SaysWhyAnAccountMayHaveNoNewKey) {
  CreateIssuer();
  EXPECT_THAT(RollOver(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("ca-account-key")));
  const std::string pem(pki::PrivateKey::Generate(pki::KeySpec())->ToPem().Reveal());
  CreateSecret("web", "ca-account-key", "tls.key", pem);
  EXPECT_EQ(ReasonOfRefusal(), "ISSUER_NOT_READY");
  CW_ASSERT_OK(Pass());

  issuer::v1::Issuer elsewhere = MakeIssuer("elsewhere");
  elsewhere.mutable_spec()->mutable_acme()->set_server("https://other.test/directory");
  CreateIssuer(elsewhere);
  EXPECT_EQ(ReasonOfRefusal(), "KEY_IS_SHARED");
  CW_ASSERT_OK(Await(stores_->issuers.Delete(Context(), "web", "elsewhere")));
  EXPECT_EQ(Changes(), 0);

  issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
  issuer.mutable_spec()->mutable_acme()->set_disable_account_key_generation(true);
  CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  EXPECT_EQ(ReasonOfRefusal(), "KEY_IS_GIVEN");
  issuer = Read(stores_->issuers, "ca");
  issuer.mutable_spec()->mutable_self_signed();
  CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  EXPECT_EQ(ReasonOfRefusal(), "NOT_ACME");
  EXPECT_EQ(Changes(), 0);
}

}  // namespace
}  // namespace certwright::issuer_service
