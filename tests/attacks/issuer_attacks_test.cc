// Attacks on what the issuer service keeps apart: by admins of other namespaces, by requesters,
// and by whoever hopes that an approver looks away.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/certificate.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "tests/attacks/issuer_attack_world.h"

namespace certwright::attacks {
namespace {

using base::StatusIs;
using fakes::Endpoint;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

v1::CertificateRequest MakeRequest(const std::string& name, const pki::CsrSpec& csr,
                                   const std::string& issuer = "ca") {
  static const pki::PrivateKey& key =
      *new pki::PrivateKey(*pki::PrivateKey::Generate(pki::KeySpec()));
  v1::CertificateRequest request;
  request.mutable_metadata()->set_namespace_("team");
  request.mutable_metadata()->set_name(name);
  request.mutable_spec()->mutable_issuer_ref()->set_name(issuer);
  request.mutable_spec()->set_request(*pki::CreateCsrPem(csr, key));
  request.mutable_spec()->set_is_ca(csr.is_ca);
  return request;
}

pki::CsrSpec CsrFor(const std::string& dns_name) {
  pki::CsrSpec csr;
  csr.names.dns_names = {dns_name};
  return csr;
}

class IssuerAttacksTest : public IssuerAttackTest {
 protected:
  absl::Status Judge(const std::string& name, const std::string& uid) const {
    v1::ApproveCertificateRequestRequest approve;
    approve.set_namespace_("team");
    approve.set_name(name);
    approve.set_uid(uid);
    return Call(ann_->requests, &v1::CertificateRequestService::Stub::ApproveCertificateRequest,
                approve)
        .status();
  }
  void DeleteRequest(const std::string& name) const {
    v1::DeleteCertificateRequestRequest request;
    request.set_namespace_("team");
    request.set_name(name);
    CW_ASSERT_OK(Call(rita_->requests,
                      &v1::CertificateRequestService::Stub::DeleteCertificateRequest, request));
    EXPECT_TRUE(harness::WaitUntil(
        [&] { return absl::IsNotFound(GetRequest(*rita_, "team", name).status()); }, kTimeout));
  }
  // The Issuers "self" and "ca" of the namespace "team", the latter with a root of its own.
  void MakeTeamCa() const {
    v1::Issuer self;
    self.mutable_metadata()->set_namespace_("team");
    self.mutable_metadata()->set_name("self");
    self.mutable_spec()->mutable_self_signed();
    CW_ASSERT_OK(Create(*admin_, self));
    v1::Certificate root = MakeCertificate("team", "root", "unused.test");
    root.mutable_spec()->clear_dns_names();
    root.mutable_spec()->set_common_name("Team Root");
    root.mutable_spec()->set_secret_name("root");
    root.mutable_spec()->set_is_ca(true);
    root.mutable_spec()->add_usages("cert sign");
    *root.mutable_spec()->mutable_issuer_ref() = meta::v1::IssuerRef();
    root.mutable_spec()->mutable_issuer_ref()->set_name("self");
    CW_ASSERT_OK(Create(*admin_, root));
    WaitUntilReady("team", "root");
    v1::Issuer ca;
    ca.mutable_metadata()->set_namespace_("team");
    ca.mutable_metadata()->set_name("ca");
    ca.mutable_spec()->mutable_ca()->set_secret_name("root");
    CW_ASSERT_OK(Create(*admin_, ca));
  }
};

// Mallory puts the victim's certificate, which anybody can have, into her own Secret.
TEST_F(IssuerAttacksTest, AnothersCertificateIsNotRevokedThroughOnesOwn) {
  CW_ASSERT_OK(Create(*admin_, MakeCertificate("default", "victim", "victim.example.test")));
  CW_ASSERT_OK(Create(*mallory_, MakeCertificate("mallory", "mine", "mine.example.test")));
  WaitUntilReady("default", "victim");
  WaitUntilReady("mallory", "mine");
  CW_ASSERT_OK(GetChain(*mallory_, "mallory", "mine"));
  CW_ASSERT_OK_AND_ASSIGN(const auto victim, GetChain(*admin_, "default", "victim"));
  const pki::Certificate leaf = pki::ParseChainPem(victim.certificate())->front();
  world_->ca().Inject(Endpoint::kNewOrder,
                      fakes::RefuseWith(503, "serverInternal").Times(1000));

  CW_ASSERT_OK_AND_ASSIGN(v1::Secret secret, GetSecret(*mallory_, "mallory", "mine-tls"));
  (*secret.mutable_data())["tls.crt"] = victim.certificate();
  secret.mutable_metadata()->clear_resource_version();
  // Her own pair may have been put back before she is heard, and is hers to revoke.
  for (const auto reason :
       {v1::REVOCATION_REASON_SUPERSEDED, v1::REVOCATION_REASON_KEY_COMPROMISE,
        v1::REVOCATION_REASON_CESSATION_OF_OPERATION}) {
    CW_ASSERT_OK(Update(*mallory_, secret));
    EXPECT_THAT(Revoke(*mallory_, "mallory", "mine", reason),
                AnyOf(base::IsOk(),
                      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("mine-tls"))));
    CW_ASSERT_OK(Update(*mallory_, secret));
    const auto shown = GetChain(*mallory_, "mallory", "mine");
    if (shown.ok()) {
      EXPECT_NE(shown->certificate(), victim.certificate());
    } else {
      EXPECT_THAT(shown, StatusIs(absl::StatusCode::kFailedPrecondition));
    }
  }
  const int revoked = world_->ca().requests(Endpoint::kRevokeCert);
  // Nor through a Certificate that has had none at all.
  CW_ASSERT_OK(DeleteCertificate(*mallory_, "mallory", "mine"));
  v1::Certificate again = MakeCertificate("mallory", "mine", "victim.example.test");
  (*again.mutable_status())
      .set_sha256_fingerprint(
          GetCertificate(*admin_, "default", "victim")->status().sha256_fingerprint());
  CW_ASSERT_OK(Create(*mallory_, again));
  EXPECT_THAT(Revoke(*mallory_, "mallory", "mine", v1::REVOCATION_REASON_SUPERSEDED),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(world_->ca().requests(Endpoint::kRevokeCert), revoked);
  EXPECT_FALSE(world_->ca().RevocationReason(leaf).has_value());
  CW_EXPECT_OK(GetChain(*admin_, "default", "victim"));
}

// Rita changes what is to be approved between the look at it and the verdict.
TEST_F(IssuerAttacksTest, AnApprovalIsNotTurnedToAnotherRequest) {
  CW_ASSERT_OK_AND_ASSIGN(const v1::CertificateRequest seen,
                          Create(*rita_, MakeRequest("r", CsrFor("www.team.example"))));
  DeleteRequest("r");
  CW_ASSERT_OK_AND_ASSIGN(const v1::CertificateRequest other,
                          Create(*rita_, MakeRequest("r", CsrFor("payroll.example"))));
  EXPECT_THAT(Judge("r", seen.metadata().uid()),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("read it")));
  EXPECT_THAT(Judge("r", ""), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("uid")));
  CW_ASSERT_OK_AND_ASSIGN(const v1::CertificateRequest now, GetRequest(*rita_, "team", "r"));
  EXPECT_FALSE(service::IsTrue(now.status().conditions(), "Approved"));
  CW_EXPECT_OK(Judge("r", other.metadata().uid()));
}

// The request of a Certificate's first revision must not come again under its name.
TEST_F(IssuerAttacksTest, TheRequestOfALaterCertificateHasAnotherName) {
  std::string first;
  for (int i = 0; i < 2; ++i) {
    CW_ASSERT_OK(Create(*rita_, MakeCertificate("team", "www", "www.team.example")));
    const v1::Certificate begun =
        WaitFor([&] { return GetCertificate(*rita_, "team", "www"); },
                [](const v1::Certificate& certificate) {
                  return !certificate.status().certificate_request_name().empty();
                });
    const std::string name = begun.status().certificate_request_name();
    EXPECT_NE(name, first);
    first = name;
    CW_ASSERT_OK(DeleteCertificate(*rita_, "team", "www"));
    EXPECT_TRUE(harness::WaitUntil(
        [&] { return absl::IsNotFound(GetRequest(*rita_, "team", name).status()); }, kTimeout));
  }
}

// The rule "team" allows DNS names below team.test, and says nothing of anything else.
TEST_F(IssuerAttacksTest, WhatARuleDoesNotMentionIsNotSigned) {
  MakeTeamCa();
  std::vector<std::pair<v1::CertificateRequest, std::string>> attacks;
  const auto attack = [&](const pki::CsrSpec& csr, const std::string& objection) {
    attacks.emplace_back(MakeRequest(absl::StrCat("attack-", attacks.size()), csr), objection);
  };
  const auto with_subject = [](const char* subject) {
    pki::CsrSpec csr = CsrFor("www.team.test");
    csr.literal_subject = subject;
    return csr;
  };
  for (const char* subject :
       {"O=system:masters", "OU=admins", "UID=root", "DC=corp", "serialNumber=1", "C=DE",
        "O=team.test,O=system:masters", "OU=www.team.test+O=system:masters", "2.5.4.12=boss",
        "1.2.3.4=x", "1.2.840.113549.1.9.1=root@team.test", "CN=system:admin",
        "CN=www.team.test,O=x", "CN=192.0.2.1"}) {
    attack(with_subject(subject), "is not allowed");
  }
  for (const std::vector<std::string>& usages :
       {std::vector<std::string>{"client auth"}, {"code signing"}, {"any"}, {"cert sign"}}) {
    pki::CsrSpec csr = CsrFor("www.team.test");
    csr.usages = usages;
    attack(csr, "the usage");
  }
  pki::CsrSpec names = CsrFor("www.team.test");
  names.names.uris = {"spiffe://cluster/admin"};
  attack(names, "the URI");
  names = CsrFor("www.team.test");
  names.names.other_names = {{"1.3.6.1.4.1.311.20.2.3", "root@corp"}};
  attack(names, "1.3.6.1.4.1.311.20.2.3");
  pki::CsrSpec ca = CsrFor("www.team.test");
  ca.is_ca = true;
  attack(ca, "a CA is not allowed");
  attack(CsrFor("www.team.test"), "a duration of");
  attacks.back().first.mutable_spec()->mutable_duration()->set_seconds(10 * 365 * 86400);
  attack(CsrFor("www.team.test"), "the usage");
  attacks.back().first.mutable_spec()->add_usages("client auth");

  for (const auto& [request, objection] : attacks) CW_ASSERT_OK(Create(*rita_, request));
  CW_ASSERT_OK(Create(*rita_, MakeRequest("good", with_subject("CN=www.team.test"))));
  const auto wait = [&](const std::string& name) {
    return WaitFor([&] { return GetRequest(*rita_, "team", name); },
                   [](const v1::CertificateRequest& request) {
                     return !ReadyOf(request).reason().empty() &&
                            ReadyOf(request).reason() != "IssuerNotReady";
                   });
  };
  for (const auto& [request, objection] : attacks) {
    const v1::CertificateRequest judged = wait(request.metadata().name());
    EXPECT_EQ(ReadyOf(judged).reason(), "Pending") << judged.ShortDebugString();
    EXPECT_THAT(ReadyOf(judged).message(), HasSubstr(objection));
    EXPECT_THAT(judged.status().certificate(), IsEmpty());
    EXPECT_FALSE(service::IsTrue(judged.status().conditions(), "Approved"));
  }
  EXPECT_THAT(wait("good").status().certificate(), HasSubstr("BEGIN CERTIFICATE"));
}

// The same by a Certificate, whose request the service itself makes.
TEST_F(IssuerAttacksTest, ACertificateGetsNoSubjectThatARuleDoesNotMention) {
  MakeTeamCa();
  v1::Certificate certificate = MakeCertificate("team", "www", "www.team.test");
  *certificate.mutable_spec()->mutable_issuer_ref() = meta::v1::IssuerRef();
  certificate.mutable_spec()->mutable_issuer_ref()->set_name("ca");
  certificate.mutable_spec()->mutable_subject()->add_organizations("system:masters");
  CW_ASSERT_OK(Create(*rita_, certificate));
  const v1::Certificate judged =
      WaitFor([&] { return GetCertificate(*rita_, "team", "www"); },
              [](const v1::Certificate& now) {
                return absl::StrContains(ReadyOf(now).message(), "ApproveCertificateRequest");
              });
  EXPECT_THAT(ReadyOf(judged).message(), HasSubstr("system:masters"));
  EXPECT_EQ(ReadyOf(judged).status(), meta::v1::CONDITION_STATUS_FALSE);
}

// Rita has the victim's signing request, which everyone may read, signed by its key again.
TEST_F(IssuerAttacksTest, AnothersKeySignsNothing) {
  MakeTeamCa();
  CW_ASSERT_OK_AND_ASSIGN(const v1::Certificate root, GetCertificate(*rita_, "team", "root"));
  v1::DescribeCertificateRequest describe;
  describe.set_namespace_("team");
  describe.set_name("root");
  CW_ASSERT_OK_AND_ASSIGN(
      const auto described,
      Call(rita_->certificates, &v1::CertificateService::Stub::DescribeCertificate, describe));
  ASSERT_GE(described.certificate_requests_size(), 1);
  v1::CertificateRequest request = MakeRequest("stolen", CsrFor("x.test"), "self");
  request.mutable_spec()->set_request(described.certificate_requests(0).spec().request());
  request.mutable_spec()->set_is_ca(true);
  request.mutable_spec()->mutable_duration()->set_seconds(10 * 365 * 86400);
  (*request.mutable_metadata()
        ->mutable_annotations())["cert-manager.io/private-key-secret-name"] = "root";
  EXPECT_THAT(Create(*rita_, request),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("private-key-secret-name"), HasSubstr("rita.test"))));
  CW_EXPECT_OK(Create(*admin_, request));
}

// Mallory learns nothing of whose order hers waits for.
TEST_F(IssuerAttacksTest, AnOrderOfAnotherNamespaceIsNotNamed) {
  fakes::Behaviour behaviour = world_->ca().behaviour();
  behaviour.reuse_orders = true;
  world_->ca().SetBehaviour(behaviour);
  world_->ca().Inject(Endpoint::kFinalize,
                      fakes::RefuseWith(503, "serverInternal").Times(1000));
  CW_ASSERT_OK(Create(*admin_, MakeCertificate("default", "secret-project", "x.example.test")));
  ASSERT_TRUE(harness::WaitUntil([&] { return world_->ca().requests(Endpoint::kFinalize) > 0; },
                                 kTimeout));
  CW_ASSERT_OK(Create(*mallory_, MakeCertificate("mallory", "mine", "x.example.test")));
  WaitFor([&] { return GetCertificate(*mallory_, "mallory", "mine"); },
          [](const v1::Certificate& certificate) {
            return absl::StrContains(ReadyOf(certificate).message(), "another namespace");
          });
  v1::DescribeCertificateRequest describe;
  describe.set_namespace_("mallory");
  describe.set_name("mine");
  CW_ASSERT_OK_AND_ASSIGN(const auto described,
                          Call(mallory_->certificates,
                               &v1::CertificateService::Stub::DescribeCertificate, describe));
  EXPECT_THAT(described.ShortDebugString(),
              AllOf(Not(HasSubstr("default/")), Not(HasSubstr("secret-project"))));
}

// Mallory makes the victim's issuer ask its CA over and over by a Secret of the same name.
TEST_F(IssuerAttacksTest, ASecretOfAnotherNamespaceWakesNoIssuer) {
  world_->ca().Inject(Endpoint::kNewAccount,
                      fakes::RefuseWith(400, "unsupportedContact").Times(1000));
  v1::Issuer issuer;
  issuer.mutable_metadata()->set_name("acme");
  *issuer.mutable_spec() = world_->MakeClusterIssuer().spec();
  issuer.mutable_spec()->mutable_acme()->mutable_private_key_secret_ref()->set_name("account");
  CW_ASSERT_OK(Create(*admin_, issuer));
  v1::GetIssuerRequest get;
  get.set_name("acme");
  WaitFor(
      [&]() -> absl::StatusOr<v1::Issuer> {
        CW_ASSIGN_OR_RETURN(auto response,
                            Call(admin_->issuers, &v1::IssuerService::Stub::GetIssuer, get));
        return response.issuer();
      },
      [](const v1::Issuer& now) { return ReadyOf(now).reason() == "ErrRegisterACMEAccount"; });
  const auto asked = [&] { return world_->ca().requests(Endpoint::kNewAccount); };
  // Its own key's Secret has woken it once more, maybe.
  harness::WaitUntil([] { return false; }, absl::Seconds(1));
  const int before = asked();
  v1::Secret secret = MakeSecret("mallory", "account", {{"tls.key", "x"}});
  CW_ASSERT_OK(Create(*mallory_, secret));
  for (int i = 0; i < 20; ++i) {
    (*secret.mutable_data())["tls.key"] = absl::StrCat(i);
    CW_ASSERT_OK(Update(*mallory_, secret));
  }
  // What its own namespace does is heard, and after all of that.
  CW_ASSERT_OK_AND_ASSIGN(v1::Secret own, GetSecret(*admin_, "default", "account"));
  own.mutable_metadata()->clear_resource_version();
  (*own.mutable_metadata()->mutable_labels())["seen"] = "yes";
  CW_ASSERT_OK(Update(*admin_, own));
  EXPECT_TRUE(harness::WaitUntil([&] { return asked() > before; }, kTimeout));
  EXPECT_EQ(asked(), before + 1);
}

}  // namespace
}  // namespace certwright::attacks
