#include "services/issuer/certificate_revocation.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/csr.h"
#include "lib/pki/test_ca.h"
#include "lib/rpc/status.h"
#include "services/issuer/account_testing.h"
#include "services/issuer/given_certificate.h"

namespace certwright::issuer_service {
namespace {

namespace v1 = issuer::v1;

using acme::FakeAnswer;
using acme::Lose;
using acme::Refuse;
using acme::Reply;
using base::StatusIs;
using testing::HasSubstr;
using testing::SizeIs;

class CertificateRevocationTest : public AccountWorld {
 protected:
  void CreateCertificate() {
    Register();
    v1::Certificate certificate;
    certificate.mutable_metadata()->set_namespace_("web");
    certificate.mutable_metadata()->set_name("site");
    certificate.mutable_spec()->set_secret_name("site-tls");
    *certificate.mutable_spec()->mutable_issuer_ref() = Ref();
    CW_ASSERT_OK(Await(stores_->certificates.Create(Context(), certificate)));
    StoreKeyPair(identity_);
    Give(identity_);
  }
  void Give(const pki::TestIdentity& identity) {
    v1::Certificate certificate = Stored();
    certificate.mutable_status()->set_sha256_fingerprint(
        FingerprintOf(pki::ParseChainPem(identity.chain_pem)->front()));
    WriteStatus(stores_->certificates, certificate);
  }
  void StoreKeyPair(const pki::TestIdentity& identity) {
    v1::Secret secret = Read(stores_->secrets, "site-tls");
    secret.mutable_metadata()->set_namespace_("web");
    secret.mutable_metadata()->set_name("site-tls");
    (*secret.mutable_data())["tls.crt"] = identity.chain_pem;
    (*secret.mutable_data())["tls.key"] = identity.key_pem;
    if (Exists(stores_->secrets, "site-tls")) {
      CW_ASSERT_OK(Await(stores_->secrets.Update(Context(), secret)));
    } else {
      CW_ASSERT_OK(Await(stores_->secrets.Create(Context(), secret)));
    }
  }
  void OnRevoke(std::vector<FakeAnswer> answers) { ca_.OnPost("/revoke", std::move(answers)); }
  absl::Status Revoke(v1::RevocationReason reason = v1::REVOCATION_REASON_UNSPECIFIED) {
    v1::RevokeCertificateRequest request;
    request.set_namespace_("web");
    request.set_name("site");
    request.set_reason(reason);
    return Await(revocation_.Revoke(Context(), request)).status();
  }
  // The revocations that the CA was sent.
  std::vector<acme::SentJws> Sent() {
    std::vector<acme::SentJws> sent;
    for (const acme::SentJws& jws : ca_.sent()) {
      if (jws.header.at("url").as_string() == "https://ca.test/revoke") sent.push_back(jws);
    }
    return sent;
  }
  v1::Certificate Stored() { return Read(stores_->certificates, "site"); }
  // A request on its way, for `key_pem`.
  void BeginIssuance(const std::string& key_pem) {
    v1::CertificateRequest request;
    request.mutable_metadata()->set_namespace_("web");
    request.mutable_metadata()->set_name("site-2");
    request.mutable_spec()->set_request(*pki::CreateCsrPem(pki::CsrSpec(), ParseKey(key_pem)));
    CW_ASSERT_OK(Await(stores_->requests.Create(Context(), request)));
    v1::Certificate certificate = Stored();
    certificate.mutable_status()->set_certificate_request_name("site-2");
    certificate.mutable_status()->set_next_private_key_secret_name("site-next-key");
    service::SetCondition(*certificate.mutable_status()->mutable_conditions(),
                          {"Issuing", true, "Renewing", ""}, 1, clock_.Now());
    WriteStatus(stores_->certificates, certificate);
  }

  static pki::SubjectAltNames Names() {
    pki::SubjectAltNames names;
    names.dns_names = {"site.test"};
    return names;
  }
  const pki::TestCa issuing_ca_;
  const pki::TestIdentity identity_ = issuing_ca_.Issue(Names());
  const pki::Certificate leaf_ = pki::ParseChainPem(identity_.chain_pem)->front();
  CertificateRevocation revocation_{CaEnvironment(), *stores_, accounts_};
};

TEST_F(CertificateRevocationTest, TheAccountRevokesAndTheCertificateIsReplaced) {
  CreateCertificate();
  OnRevoke({Reply(200, "")});
  CW_ASSERT_OK(Revoke(v1::REVOCATION_REASON_SUPERSEDED));
  ASSERT_THAT(Sent(), SizeIs(1));
  EXPECT_EQ(Sent()[0].header.at("kid").as_string(), "https://ca.test/account/1");
  EXPECT_EQ(Sent()[0].PayloadObject().at("reason").as_int64(), 4);
  EXPECT_EQ(Sent()[0].PayloadObject().at("certificate").as_string(),
            base::Base64UrlEncode(leaf_.der));
  const v1::Revocation revocation = Stored().status().revocation();
  EXPECT_EQ(revocation.serial_number(), leaf_.serial_hex);
  EXPECT_EQ(revocation.reason(), v1::REVOCATION_REASON_SUPERSEDED);
  EXPECT_EQ(service::FromProto(revocation.time()), ca_.clock.Now());
  EXPECT_EQ(ConditionOf(Stored(), "Issuing"), "True ManuallyTriggered");
  EXPECT_EQ(service::FindCondition(Stored().status().conditions(), "Issuing")->message(),
            "The certificate was revoked because it was superseded.");
}

TEST_F(CertificateRevocationTest, ACompromisedKeyRevokesItsOwnCertificate) {
  CreateCertificate();
  OnRevoke({Reply(200, "")});
  CW_ASSERT_OK(Revoke(v1::REVOCATION_REASON_KEY_COMPROMISE));
  ASSERT_THAT(Sent(), SizeIs(1));
  EXPECT_FALSE(Sent()[0].header.contains("kid"));
  EXPECT_EQ(Sent()[0].header.at("jwk"), AccountsCa::JwkOf(ParseKey(identity_.key_pem)));
  EXPECT_EQ(Sent()[0].PayloadObject().at("reason").as_int64(), 1);
  EXPECT_EQ(Stored().status().revocation().reason(), v1::REVOCATION_REASON_KEY_COMPROMISE);
}

TEST_F(CertificateRevocationTest, WithoutTheCompromisedKeyTheAccountRevokes) {
  CreateCertificate();
  pki::TestIdentity other = identity_;
  other.key_pem = issuing_ca_.Issue(Names()).key_pem;
  StoreKeyPair(other);
  OnRevoke({Reply(200, "")});
  CW_ASSERT_OK(Revoke(v1::REVOCATION_REASON_KEY_COMPROMISE));
  EXPECT_TRUE(Sent()[0].header.contains("kid"));
}

TEST_F(CertificateRevocationTest, WhereTheAccountMayNotTheKeyDoes) {
  CreateCertificate();
  OnRevoke({Refuse(403, "unauthorized"), Reply(200, ""), Refuse(400, "accountDoesNotExist"),
            Reply(200, "")});
  for (const std::size_t sent : {2u, 4u}) {
    CW_ASSERT_OK(Revoke());
    ASSERT_THAT(Sent(), SizeIs(sent));
    EXPECT_TRUE(Sent()[sent - 2].header.contains("kid"));
    EXPECT_TRUE(Sent()[sent - 1].header.contains("jwk"));
  }
}

TEST_F(CertificateRevocationTest, WithoutAnAccountTheKeyDoes) {
  CreateCertificate();
  v1::Issuer issuer = Read(stores_->issuers, "ca");
  service::SetCondition(*issuer.mutable_status()->mutable_conditions(),
                        {"Ready", false, "AccountDeactivated", "It was deactivated."}, 1,
                        clock_.Now());
  WriteStatus(stores_->issuers, issuer);
  OnRevoke({Reply(200, "")});
  CW_ASSERT_OK(Revoke());
  ASSERT_THAT(Sent(), SizeIs(1));
  EXPECT_TRUE(Sent()[0].header.contains("jwk"));
}

TEST_F(CertificateRevocationTest, NamesThatAreNoLongerServedGetNoOther) {
  CreateCertificate();
  OnRevoke({Reply(200, "")});
  CW_ASSERT_OK(Revoke(v1::REVOCATION_REASON_CESSATION_OF_OPERATION));
  EXPECT_EQ(Sent()[0].PayloadObject().at("reason").as_int64(), 5);
  EXPECT_TRUE(Stored().status().has_revocation());
  EXPECT_EQ(ConditionOf(Stored(), "Issuing"), "");
}

TEST_F(CertificateRevocationTest, RevokedBeforeIsRevoked) {
  CreateCertificate();
  OnRevoke({Refuse(400, "alreadyRevoked")});
  CW_ASSERT_OK(Revoke());
  EXPECT_FALSE(Sent()[0].PayloadObject().contains("reason"));
  EXPECT_EQ(Stored().status().revocation().serial_number(), leaf_.serial_hex);
}

TEST_F(CertificateRevocationTest, TheIssuerInUseRevokes) {
  CreateCertificate();
  OnRevoke({Reply(200, "")});
  v1::Certificate certificate = Stored();
  *certificate.mutable_status()->mutable_issuer_in_use() = Ref();
  WriteStatus(stores_->certificates, certificate);
  certificate = Stored();
  certificate.mutable_spec()->mutable_issuer_ref()->set_name("first-choice");
  CW_ASSERT_OK(Await(stores_->certificates.Update(Context(), certificate)));
  CW_EXPECT_OK(Revoke());
}

TEST_F(CertificateRevocationTest, AnIssuanceOnTheWayIsKeptUnlessItIsForTheCompromisedKey) {
  CreateCertificate();
  OnRevoke({Reply(200, "")});
  BeginIssuance(issuing_ca_.Issue(Names()).key_pem);
  CW_ASSERT_OK(Revoke(v1::REVOCATION_REASON_KEY_COMPROMISE));
  EXPECT_EQ(Stored().status().certificate_request_name(), "site-2");
  EXPECT_EQ(ConditionOf(Stored(), "Issuing"), "True Renewing");

  CW_ASSERT_OK(Await(stores_->requests.Delete(Context(), "web", "site-2")));
  BeginIssuance(identity_.key_pem);
  CW_ASSERT_OK(Revoke(v1::REVOCATION_REASON_SUPERSEDED));
  EXPECT_EQ(Stored().status().certificate_request_name(), "site-2");
  CW_ASSERT_OK(Revoke(v1::REVOCATION_REASON_KEY_COMPROMISE));
  EXPECT_EQ(Stored().status().certificate_request_name(), "");
  EXPECT_EQ(Stored().status().next_private_key_secret_name(), "");
  EXPECT_EQ(ConditionOf(Stored(), "Issuing"), "True ManuallyTriggered");
  EXPECT_TRUE(Read(stores_->requests, "site-2").metadata().has_delete_time());
}

TEST_F(CertificateRevocationTest, AChangeMeanwhileIsNotLost) {
  CreateCertificate();
  OnRevoke({[this](const acme::SentJws& jws) {
    v1::Certificate certificate = Stored();
    certificate.mutable_status()->set_revision(7);
    WriteStatus(stores_->certificates, certificate);
    return Reply(200, "")(jws);
  }});
  CW_ASSERT_OK(Revoke());
  EXPECT_EQ(Stored().status().revision(), 7);
  EXPECT_TRUE(Stored().status().has_revocation());
}

TEST_F(CertificateRevocationTest, ACertificateThatCameMeanwhileIsNotCalledRevoked) {
  CreateCertificate();
  OnRevoke({[this](const acme::SentJws& jws) {
    const pki::TestIdentity next = issuing_ca_.Issue(Names());
    StoreKeyPair(next);
    Give(next);
    return Reply(200, "")(jws);
  }});
  CW_ASSERT_OK(Revoke());
  EXPECT_FALSE(Stored().status().has_revocation());
  EXPECT_EQ(ConditionOf(Stored(), "Issuing"), "");
}

TEST_F(CertificateRevocationTest, AnothersCertificateIsNotRevoked) {
  CreateCertificate();
  // Of the same CA, for the same names and with its key.
  StoreKeyPair(issuing_ca_.Issue(Names()));
  for (const auto reason :
       {v1::REVOCATION_REASON_SUPERSEDED, v1::REVOCATION_REASON_KEY_COMPROMISE}) {
    const absl::Status refused = Revoke(reason);
    EXPECT_THAT(refused,
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("site-tls")));
    EXPECT_EQ(rpc::ErrorReasonOf(refused), "NOT_GIVEN");
  }
  EXPECT_THAT(Sent(), SizeIs(0));
  EXPECT_FALSE(Stored().status().has_revocation());
  StoreKeyPair(identity_);
  OnRevoke({Reply(200, "")});
  CW_EXPECT_OK(Revoke());
}

TEST_F(CertificateRevocationTest, NothingIsSaidThatTheCaDidNotDo) {
  CreateCertificate();
  OnRevoke({Refuse(403, "unauthorized"), Refuse(403, "unauthorized"), Lose(), Lose()});
  const absl::Status refused = Revoke();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("because of unauthorized")));
  EXPECT_EQ(rpc::ErrorReasonOf(refused), "CA_REFUSED");
  EXPECT_THAT(Revoke(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_FALSE(Stored().status().has_revocation());
  EXPECT_EQ(ConditionOf(Stored(), "Issuing"), "");
}

TEST_F(CertificateRevocationTest, SaysWhatIsMissing) {
  EXPECT_THAT(Revoke(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("web/site")));
  CreateCertificate();
  EXPECT_THAT(Revoke(static_cast<v1::RevocationReason>(3)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reason")));

  v1::Issuer issuer = Read(stores_->issuers, "ca");
  issuer.mutable_spec()->mutable_self_signed();
  CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  EXPECT_EQ(rpc::ErrorReasonOf(Revoke()), "NOT_ACME");
  CW_ASSERT_OK(Await(stores_->issuers.Delete(Context(), "web", "ca")));
  EXPECT_THAT(Revoke(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("Issuer web/ca")));

  pki::TestIdentity garbage = identity_;
  garbage.chain_pem = "no certificate";
  StoreKeyPair(garbage);
  EXPECT_EQ(rpc::ErrorReasonOf(Revoke()), "NOT_ISSUED");
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "site-tls")));
  EXPECT_EQ(rpc::ErrorReasonOf(Revoke()), "NOT_ISSUED");
}

}  // namespace
}  // namespace certwright::issuer_service
