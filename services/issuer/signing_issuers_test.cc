#include "services/issuer/signing_issuers.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/pem.h"
#include "lib/pki/test_ca.h"
#include "services/issuer/fake_vault.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateRequest;
using testing::HasSubstr;

constexpr absl::Duration kDay = absl::Hours(24);

class SigningIssuersTest : public IssuerWorld {
 protected:
  SigningIssuersTest() { csr_.names.dns_names = {"a.example"}; }

  static AnyIssuer MakeIssuer() {
    AnyIssuer issuer;
    issuer.ref.set_kind(meta::v1::ISSUER_KIND_ISSUER);
    issuer.ref.set_name("ca");
    issuer.metadata.set_namespace_("web");
    issuer.metadata.set_name("ca");
    issuer.metadata.set_uid("uid");
    issuer.metadata.set_generation(1);
    return issuer;
  }
  static AnyIssuer CaIssuer() {
    AnyIssuer issuer = MakeIssuer();
    issuer.spec.mutable_ca()->set_secret_name("ca");
    return issuer;
  }
  static AnyIssuer SelfSignedIssuer() {
    AnyIssuer issuer = MakeIssuer();
    issuer.spec.mutable_self_signed();
    return issuer;
  }
  AnyIssuer VaultIssuer() {
    http_.OnAnyOther([this](const http::HttpRequest& request) {
      FakeVault::Request asked;
      asked.method = request.method;
      asked.target = request.url.substr(std::string("https://vault.test").size());
      for (const http::Header& header : request.headers) {
        asked.headers[absl::AsciiStrToLower(header.name)] = header.value;
      }
      if (!request.body.empty()) {
        asked.body = boost::json::parse(request.body).as_object();
      }
      const FakeVault::Answer answer = vault_.Handle(asked);
      http::HttpResponse response;
      response.status = answer.status;
      response.body = answer.body;
      return absl::StatusOr<http::HttpResponse>(response);
    });
    AnyIssuer issuer = MakeIssuer();
    issuer::v1::VaultIssuer& vault = *issuer.spec.mutable_vault();
    vault.set_server("https://vault.test");
    vault.set_path("pki_int/sign/web");
    vault.set_namespace_("team");
    vault.mutable_app_role()->set_path("machines");
    vault.mutable_app_role()->set_role_id(FakeVault::kRoleId);
    vault.mutable_app_role()->mutable_secret_ref()->set_name("role");
    vault.mutable_app_role()->mutable_secret_ref()->set_key("secretId");
    return issuer;
  }
  // The Secret "ca", with the chain of `ca` without its root.
  void StoreCa(const pki::TestCa& ca, const pki::PrivateKey& key,
               const std::string& ca_crt = "", const std::string& resource_namespace = "web") {
    issuer::v1::Secret secret;
    secret.mutable_metadata()->set_namespace_(resource_namespace);
    secret.mutable_metadata()->set_name("ca");
    auto& data = *secret.mutable_data();
    data[kCertificateKey] = ca.certificate().Pem();
    data[kPrivateKeyKey] = std::string(key.ToPem().Reveal());
    if (!ca_crt.empty()) data[kCaKey] = ca_crt;
    CW_ASSERT_OK(Await(stores_->secrets.Create(Context(), secret)));
  }
  CertificateRequest Request() {
    CertificateRequest request;
    request.mutable_metadata()->set_namespace_("web");
    request.mutable_metadata()->set_name("site-1");
    request.mutable_spec()->set_request(*pki::CreateCsrPem(csr_, key_));
    request.mutable_spec()->set_is_ca(csr_.is_ca);
    return request;
  }
  absl::StatusOr<SigningIssuers::Signed> TrySign(const AnyIssuer& issuer,
                                                 const CertificateRequest& request) {
    return Await(signing_.Sign(Context(), request, issuer));
  }
  std::vector<pki::Certificate> Sign(const AnyIssuer& issuer,
                                     const CertificateRequest& request) {
    const auto result = TrySign(issuer, request);
    EXPECT_THAT(result, base::IsOk());
    if (!result.ok()) return {};
    ca_pem_ = result->ca_pem;
    return pki::ParseChainPem(result->certificate_pem).value();
  }
  SigningIssuers::Readiness Check(const AnyIssuer& issuer) {
    const auto readiness = Await(signing_.CheckReady(Context(), issuer));
    EXPECT_THAT(readiness, base::IsOk());
    return readiness.value_or(SigningIssuers::Readiness());
  }

  const pki::PrivateKey key_ = *pki::PrivateKey::Generate(pki::KeySpec());
  const pki::TestCa root_;
  const pki::TestCa ca_ = root_.MakeIntermediate();
  FakeVault vault_{clock_};
  pki::CsrSpec csr_;
  std::string ca_pem_;
  Accounts accounts_{Environment(), *stores_, "certwright"};
  SigningIssuers signing_{Environment(), *stores_, accounts_};
};

TEST_F(SigningIssuersTest, ACaSignsWhatTheRequestAsksFor) {
  StoreCa(root_, root_.key());
  AnyIssuer issuer = CaIssuer();
  issuer.spec.mutable_ca()->add_crl_distribution_points("http://crl.example/1");
  issuer.spec.mutable_ca()->add_ocsp_servers("http://ocsp.example");
  issuer.spec.mutable_ca()->add_issuing_certificate_urls("http://ca.example/ca.crt");
  csr_.subject.common_name = "Site";
  csr_.names.uris = {"urn:a"};
  csr_.usages = {"digital signature", "client auth"};
  CertificateRequest request = Request();
  request.mutable_spec()->mutable_duration()->set_seconds(7200);
  const auto chain = Sign(issuer, request);
  ASSERT_EQ(chain.size(), 1u);
  const pki::Certificate& leaf = chain[0];
  EXPECT_TRUE(leaf.public_key == key_.public_key());
  EXPECT_EQ(leaf.names, csr_.names);
  EXPECT_EQ(leaf.subject, "CN=Site");
  EXPECT_EQ(leaf.usages, csr_.usages);
  EXPECT_EQ(leaf.not_after - leaf.not_before, absl::Hours(2));
  EXPECT_FALSE(leaf.is_ca);
  for (const char* url :
       {"http://crl.example/1", "http://ocsp.example", "http://ca.example/"}) {
    EXPECT_THAT(leaf.der, HasSubstr(url));
  }
  EXPECT_EQ(ca_pem_, root_.certificate().Pem());
}

TEST_F(SigningIssuersTest, AnIntermediateCaIsServedAndCaCrtAddsItsRoot) {
  StoreCa(ca_, ca_.key(), root_.certificate().Pem());
  const auto chain = Sign(CaIssuer(), Request());
  ASSERT_EQ(chain.size(), 2u);
  EXPECT_EQ(chain[1].der, ca_.certificate().der);
  EXPECT_EQ(ca_pem_, root_.certificate().Pem());
  EXPECT_EQ(chain[0].not_after - chain[0].not_before, 90 * kDay);
  EXPECT_THAT(chain[0].usages, testing::ElementsAre("digital signature", "key encipherment"));
}

TEST_F(SigningIssuersTest, ForeignCaCrtIsNotHandedOut) {
  StoreCa(ca_, ca_.key(), pki::TestCa("Another").certificate().Pem());
  Sign(CaIssuer(), Request());
  EXPECT_EQ(ca_pem_, ca_.certificate().Pem());
}

TEST_F(SigningIssuersTest, AClusterIssuerHasItsSecretInTheClusterResourceNamespace) {
  StoreCa(root_, root_.key(), "", "certwright");
  AnyIssuer issuer = CaIssuer();
  issuer.ref.set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  issuer.metadata.clear_namespace_();
  EXPECT_EQ(Sign(issuer, Request()).size(), 1u);
  EXPECT_EQ(Check(issuer).reason, "KeyPairVerified");
}

TEST_F(SigningIssuersTest, NoCertificateOutlivesItsCa) {
  const auto key = *pki::PrivateKey::Generate(pki::KeySpec());
  pki::TestCertificateSpec spec;
  spec.common_name = "Short";
  spec.is_ca = true;
  spec.not_after = clock_.Now() + 10 * kDay;
  const pki::TestCa brief(key, {root_.Sign(key.public_key(), spec), root_.certificate()});
  StoreCa(brief, key);
  const auto chain = Sign(CaIssuer(), Request());
  ASSERT_FALSE(chain.empty());
  EXPECT_EQ(chain[0].not_after, spec.not_after);
  EXPECT_EQ(Check(CaIssuer()).next.requeue_after, 10 * kDay);
  clock_.Advance(11 * kDay);
  EXPECT_EQ(Check(CaIssuer()).reason, "InvalidKeyPair");
  EXPECT_FALSE(SigningIssuers::IsFinal(TrySign(CaIssuer(), Request()).status()));
}

TEST_F(SigningIssuersTest, NameConstraintsAreKeptAndEnforced) {
  StoreCa(root_, root_.key());
  // First the constrained CA, signed by the root.
  csr_.is_ca = true;
  csr_.subject.common_name = "Constrained";
  csr_.names = {};
  csr_.name_constraints.permitted.dns_domains = {"good.example"};
  const auto constrained = Sign(CaIssuer(), Request());
  ASSERT_EQ(constrained.size(), 1u);
  EXPECT_TRUE(constrained[0].is_ca);
  EXPECT_EQ(constrained[0].name_constraints, csr_.name_constraints);
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "ca")));
  StoreCa(pki::TestCa(key_, {constrained[0], root_.certificate()}), key_,
          root_.certificate().Pem());

  csr_ = pki::CsrSpec();
  csr_.names.dns_names = {"www.good.example"};
  EXPECT_EQ(Sign(CaIssuer(), Request()).size(), 2u);
  csr_.names.dns_names = {"evil.example"};
  const absl::Status refused = TrySign(CaIssuer(), Request()).status();
  EXPECT_TRUE(SigningIssuers::IsFinal(refused)) << refused;
  EXPECT_THAT(refused.message(), HasSubstr("permitted subtree"));
}

TEST_F(SigningIssuersTest, NoCaCertificateComesOfARequestThatDoesNotSayIt) {
  StoreCa(root_, root_.key());
  csr_.is_ca = true;
  CertificateRequest request = Request();
  request.mutable_spec()->set_is_ca(false);
  EXPECT_THAT(TrySign(CaIssuer(), request),
              base::StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("spec.isCa")));
}

TEST_F(SigningIssuersTest, ACaIssuerIsReadyOnlyWithAFittingKeyPair) {
  EXPECT_EQ(Check(CaIssuer()).reason, "SecretMissing");
  EXPECT_THAT(TrySign(CaIssuer(), Request()), base::StatusIs(absl::StatusCode::kNotFound));
  StoreCa(root_, key_);
  const auto wrong_key = Check(CaIssuer());
  EXPECT_EQ(wrong_key.reason, "InvalidKeyPair");
  EXPECT_FALSE(wrong_key.ready);
  EXPECT_THAT(wrong_key.message, HasSubstr("another key"));
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "ca")));
  CreateSecret("web", "ca", kCertificateKey, root_.certificate().Pem());
  EXPECT_EQ(Check(CaIssuer()).reason, "SecretMissing");
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "ca")));
  StoreCa(root_, root_.key());
  EXPECT_TRUE(Check(CaIssuer()).ready);
}

// Fault 105.
TEST_F(SigningIssuersTest, ACasKeyPairIsTakenAsToolsWriteIt) {
  const pki::TestCa intermediate = root_.MakeIntermediate("Intermediate");
  const std::string root = root_.certificate().Pem();
  const std::string certificate = intermediate.certificate().Pem();
  const std::string key(intermediate.key().ToPem(pki::KeyEncoding::kPkcs1).Reveal());
  const std::string parameters = pki::EncodePem("EC PARAMETERS", "P-256");
  for (const auto& [chain_text, key_text] : std::vector<std::pair<std::string, std::string>>{
           {certificate + root, parameters + key},
           {root + certificate, key + certificate},
           {"\xef\xbb\xbf" + certificate + certificate + root, "\xef\xbb\xbf" + key},
           {intermediate.certificate().der + root_.certificate().der,
            absl::StrReplaceAll(key, {{"\n", "\r\n"}})},
           {pki::EncodePem("TRUSTED CERTIFICATE", intermediate.certificate().der) + root,
            absl::StrReplaceAll(key, {{"\n", " "}})}}) {
    issuer::v1::Secret secret;
    secret.mutable_metadata()->set_namespace_("web");
    secret.mutable_metadata()->set_name("ca");
    (*secret.mutable_data())[kCertificateKey] = chain_text;
    (*secret.mutable_data())[kPrivateKeyKey] = key_text;
    CW_ASSERT_OK(Await(stores_->secrets.Create(Context(), secret)));
    EXPECT_EQ(Check(CaIssuer()).reason, "KeyPairVerified");
    const auto signed_chain = Sign(CaIssuer(), Request());
    ASSERT_EQ(signed_chain.size(), 2u);
    EXPECT_EQ(signed_chain[1].der, intermediate.certificate().der);
    EXPECT_EQ(ca_pem_, root);
    CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "ca")));
  }
}

TEST_F(SigningIssuersTest, ALeafIsNoCa) {
  pki::TestCertificateSpec spec;
  spec.names.dns_names = {"a.example"};
  const pki::TestCa leaf(key_, {root_.Sign(key_.public_key(), spec)});
  StoreCa(leaf, key_);
  EXPECT_EQ(Check(CaIssuer()).reason, "InvalidKeyPair");
}

TEST_F(SigningIssuersTest, NothingIsSignedWithATemporaryCertificate) {
  StoreCa(root_, root_.key());
  issuer::v1::Secret secret = Read(stores_->secrets, "ca");
  (*secret.mutable_metadata()->mutable_annotations())[kTemporaryAnnotation] = "true";
  CW_ASSERT_OK(Await(stores_->secrets.Update(Context(), secret)));
  EXPECT_EQ(Check(CaIssuer()).reason, "InvalidKeyPair");
  EXPECT_THAT(TrySign(CaIssuer(), Request()),
              base::StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("temporary")));
}

TEST_F(SigningIssuersTest, SelfSignedCertificateOfAUsersRequest) {
  EXPECT_EQ(Check(SelfSignedIssuer()).reason, "IsReady");
  EXPECT_THAT(TrySign(SelfSignedIssuer(), Request()),
              base::StatusIs(absl::StatusCode::kInvalidArgument,
                             HasSubstr(kPrivateKeySecretAnnotation)));
  CertificateRequest request = Request();
  (*request.mutable_metadata()->mutable_annotations())[kPrivateKeySecretAnnotation] = "mine";
  EXPECT_THAT(TrySign(SelfSignedIssuer(), request),
              base::StatusIs(absl::StatusCode::kNotFound, HasSubstr("mine")));
  CreateSecret("web", "mine", kPrivateKeyKey, std::string(key_.ToPem().Reveal()));
  const auto chain = Sign(SelfSignedIssuer(), request);
  ASSERT_EQ(chain.size(), 1u);
  CW_EXPECT_OK(pki::VerifyAgainstRoots(chain, chain, clock_.Now()));
  EXPECT_EQ(ca_pem_, chain[0].Pem());
}

TEST_F(SigningIssuersTest, SelfSigningTakesNoOtherKeyThanTheRequests) {
  CertificateRequest request = Request();
  (*request.mutable_metadata()->mutable_annotations())[kPrivateKeySecretAnnotation] = "other";
  CreateSecret("web", "other", kPrivateKeyKey, std::string(root_.key().ToPem().Reveal()));
  EXPECT_THAT(TrySign(SelfSignedIssuer(), request),
              base::StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not the one")));
}

TEST_F(SigningIssuersTest, SelfSignedCertificateOfACertificateTakesItsNextKey) {
  issuer::v1::Certificate certificate;
  certificate.mutable_metadata()->set_namespace_("web");
  certificate.mutable_metadata()->set_name("site");
  certificate.mutable_status()->set_certificate_request_name("site-1");
  certificate.mutable_status()->set_next_private_key_secret_name("site-next-key");
  const auto created = Await(stores_->certificates.Create(Context(), certificate));
  CW_ASSERT_OK(created);
  CreateSecret("web", "site-next-key", kPrivateKeyKey, std::string(key_.ToPem().Reveal()));
  CertificateRequest request = Request();
  request.mutable_metadata()->mutable_owner()->set_kind("Certificate");
  request.mutable_metadata()->mutable_owner()->set_name("site");
  // Of an earlier Certificate of that name.
  EXPECT_THAT(TrySign(SelfSignedIssuer(), request),
              base::StatusIs(absl::StatusCode::kUnavailable));
  request.mutable_metadata()->mutable_owner()->set_uid(created->metadata().uid());
  EXPECT_EQ(Sign(SelfSignedIssuer(), request).size(), 1u);
  request.mutable_metadata()->set_name("site-0");
  EXPECT_THAT(TrySign(SelfSignedIssuer(), request),
              base::StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(SigningIssuersTest, VaultSignsWithOneLoginForMany) {
  const AnyIssuer issuer = VaultIssuer();
  EXPECT_EQ(Check(issuer).reason, "SecretMissing");
  CreateSecret("web", "role", "secretId", FakeVault::kSecretId);
  EXPECT_EQ(Check(issuer).reason, "VaultVerified");
  for (int i = 0; i < 2; ++i) {
    const auto chain = Sign(issuer, Request());
    ASSERT_EQ(chain.size(), 2u);
    EXPECT_EQ(chain[0].names, csr_.names);
    EXPECT_EQ(ca_pem_, vault_.root().certificate().Pem());
  }
  EXPECT_EQ(vault_.logins(), 1);
}

TEST_F(SigningIssuersTest, AChangedVaultSecretIsTakenUp) {
  const AnyIssuer issuer = VaultIssuer();
  CreateSecret("web", "role", "secretId", FakeVault::kSecretId);
  EXPECT_EQ(Sign(issuer, Request()).size(), 2u);
  issuer::v1::Secret secret = Read(stores_->secrets, "role");
  for (const char* id : {"revoked", FakeVault::kSecretId, "revoked"}) {
    (*secret.mutable_data())["secretId"] = id;
    auto updated = Await(stores_->secrets.Update(Context(), secret));
    CW_ASSERT_OK(updated);
    secret = *std::move(updated);
    EXPECT_EQ(TrySign(issuer, Request()).ok(), std::string(id) == FakeVault::kSecretId) << id;
  }
  // Another one of its name.
  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "role")));
  CreateSecret("web", "role", "secretId", FakeVault::kSecretId);
  EXPECT_EQ(Sign(issuer, Request()).size(), 2u);
}

TEST_F(SigningIssuersTest, WhatVaultRefusesForEverEndsTheRequest) {
  CreateSecret("web", "role", "secretId", FakeVault::kSecretId);
  const AnyIssuer issuer = VaultIssuer();
  csr_.names.dns_names = {"a.elsewhere"};
  EXPECT_TRUE(SigningIssuers::IsFinal(TrySign(issuer, Request()).status()));
  vault_.Seal(true);
  EXPECT_THAT(TrySign(issuer, Request()), base::StatusIs(absl::StatusCode::kUnavailable));
  const auto readiness = Check(issuer);
  EXPECT_EQ(readiness.reason, "VaultUnavailable");
  EXPECT_TRUE(readiness.next.requeue_after.has_value());
}

}  // namespace
}  // namespace certwright::issuer_service
