#include "services/issuer/account_deactivation.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/rpc/status.h"
#include "services/issuer/account_testing.h"

namespace certwright::issuer_service {
namespace {

using acme::Lose;
using acme::Refuse;
using base::StatusIs;
using testing::AllOf;
using testing::HasSubstr;

class AccountDeactivationTest : public AccountWorld {
 protected:
  absl::Status Deactivate() { return Await(deactivation_.Deactivate(Context(), Issuer())); }
  bool IsMarked() {
    return Read(stores_->issuers, "ca").status().acme().has_deactivated_time();
  }
  int Registrations() { return ca_.Count("POST", "/new-account"); }
  void ChangeSpec(const std::string& server, const std::string& email) {
    issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
    issuer.mutable_spec()->mutable_acme()->set_server(server);
    issuer.mutable_spec()->mutable_acme()->set_email(email);
    CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  }

  AccountDeactivation deactivation_{CaEnvironment(), accounts_};
};

TEST_F(AccountDeactivationTest, EndsTheAccountAndSaysHowToBeginAnew) {
  Register();
  CW_ASSERT_OK(FindAccount());
  CW_ASSERT_OK(Deactivate());
  EXPECT_EQ(ca_.status, "deactivated");
  EXPECT_EQ(Ready(), "False AccountDeactivated");
  EXPECT_THAT(Message(), AllOf(HasSubstr("https://ca.test/account/1"),
                               HasSubstr("delete the Secret ca-account-key")));
  EXPECT_TRUE(IsMarked());
  EXPECT_THAT(FindAccount(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("was deactivated")));
}

TEST_F(AccountDeactivationTest, TheAccountIsNeverRegisteredAgain) {
  Register();
  CW_ASSERT_OK(Deactivate());
  const std::size_t requests = ca_.sent().size();
  CW_ASSERT_OK_AND_ASSIGN(const controller::Result result, Pass());
  EXPECT_FALSE(result.requeue_after.has_value());
  ChangeSpec("https://ca.test/directory", "new@ca.test");
  CW_ASSERT_OK(Pass());
  CW_ASSERT_OK(Deactivate());
  EXPECT_EQ(Ready(), "False AccountDeactivated");
  EXPECT_EQ(ca_.sent().size(), requests);
}

TEST_F(AccountDeactivationTest, AnotherKeyIsANewBeginning) {
  Register();
  CW_ASSERT_OK(Deactivate());
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "ca-account-key")));
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  EXPECT_FALSE(IsMarked());
  EXPECT_EQ(Read(stores_->issuers, "ca").status().acme().uri(), "https://ca.test/account/2");
}

TEST_F(AccountDeactivationTest, AnotherServerIsANewBeginning) {
  Register();
  CW_ASSERT_OK(Deactivate());
  ca_.http.On("GET", "https://ca.test/other-directory")
      .Reply(200, R"({"newNonce": "https://ca.test/nonce",
                      "newAccount": "https://ca.test/other/new-account",
                      "newOrder": "https://ca.test/new-order",
                      "revokeCert": "https://ca.test/revoke",
                      "keyChange": "https://ca.test/key-change"})");
  ca_.OnPost("/other/new-account",
             {acme::Reply(201, R"({"status": "valid"})",
                          {{"Location", "https://ca.test/other/account/1"}})});
  ChangeSpec("https://ca.test/other-directory", "");
  CW_ASSERT_OK(Pass());
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  EXPECT_FALSE(IsMarked());
}

TEST_F(AccountDeactivationTest, ALostAnswerIsMadeGood) {
  Register();
  ca_.faults["/account/1"] = {{Lose(), /*done=*/true}};
  CW_ASSERT_OK(Deactivate());
  EXPECT_TRUE(IsMarked());
}

TEST_F(AccountDeactivationTest, WhatBecomesOfTheIssuerMeanwhileIsNotLost) {
  Register();
  ca_.faults["/account/1"] = {{[&](const acme::SentJws& jws) {
                                 issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
                                 service::SetCondition(
                                     *issuer.mutable_status()->mutable_conditions(),
                                     {"Other", true, "Meanwhile", ""}, 1, clock_.Now());
                                 WriteStatus(stores_->issuers, issuer);
                                 return acme::Reply(200, R"({"status": "deactivated"})")(jws);
                               },
                               /*done=*/true}};
  CW_ASSERT_OK(Deactivate());
  EXPECT_TRUE(IsMarked());
  EXPECT_EQ(Ready(), "False AccountDeactivated");
  EXPECT_EQ(ConditionOf(Read(stores_->issuers, "ca"), "Other"), "True Meanwhile");
}

TEST_F(AccountDeactivationTest, AnAccountThatCameMeanwhileIsNotCalledDeactivated) {
  Register();
  ca_.faults["/account/1"] = {
      {[&](const acme::SentJws& jws) {
         issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
         issuer.mutable_status()->mutable_acme()->set_account_key_thumbprint("another");
         WriteStatus(stores_->issuers, issuer);
         return acme::Reply(200, R"({"status": "deactivated"})")(jws);
       },
       /*done=*/true}};
  EXPECT_THAT(Deactivate(), StatusIs(absl::StatusCode::kAborted, HasSubstr("meanwhile")));
  EXPECT_FALSE(IsMarked());
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
}

TEST_F(AccountDeactivationTest, ACaThatRefusesEvenToLookTheAccountUpHasEndedIt) {
  Register();
  ca_.faults["/account/1"] = {{Refuse(403, "unauthorized")}};
  ca_.faults["/new-account"] = {{Refuse(403, "unauthorized")}};
  CW_ASSERT_OK(Deactivate());
  EXPECT_TRUE(IsMarked());
}

TEST_F(AccountDeactivationTest, NothingIsSaidThatTheCaDidNotDo) {
  Register();
  ca_.faults["/account/1"] = {{Lose()}};
  EXPECT_THAT(Deactivate(), StatusIs(absl::StatusCode::kUnavailable));
  ca_.faults["/account/1"] = {{Refuse(400, "malformed")}};
  const absl::Status refused = Deactivate();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("because of malformed")));
  EXPECT_EQ(rpc::ErrorReasonOf(refused), "CA_REFUSED");
  EXPECT_EQ(Ready(), "True ACMEAccountRegistered");
  EXPECT_FALSE(IsMarked());
}

TEST_F(AccountDeactivationTest, WaitsForAChangeOfTheKey) {
  Register();
  StoreNextKey();
  EXPECT_THAT(Deactivate(), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(ca_.status, "valid");
}

TEST_F(AccountDeactivationTest, WithoutAnAccountThereIsNothingToEnd) {
  CreateIssuer();
  EXPECT_EQ(rpc::ErrorReasonOf(Deactivate()), "ISSUER_NOT_READY");
  const std::string pem(pki::PrivateKey::Generate(pki::KeySpec())->ToPem().Reveal());
  CreateSecret("web", "ca-account-key", "tls.key", pem);
  EXPECT_EQ(rpc::ErrorReasonOf(Deactivate()), "ISSUER_NOT_READY");
  issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
  issuer.mutable_spec()->mutable_self_signed();
  CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  EXPECT_EQ(rpc::ErrorReasonOf(Deactivate()), "NOT_ACME");
}

}  // namespace
}  // namespace certwright::issuer_service
