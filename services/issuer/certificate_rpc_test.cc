#include "services/issuer/certificate_rpc.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/test_ca.h"
#include "services/issuer/given_certificate.h"
#include "services/issuer/issuer_rpc_testing.h"

namespace certwright::issuer_service {
namespace {

namespace v1 = issuer::v1;

using base::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Stub = v1::CertificateService::StubInterface;

class CertificateRpcTest : public RpcWorld {
 protected:
  static v1::Certificate MakeCertificate(const std::string& dns_name) {
    v1::Certificate certificate;
    certificate.mutable_metadata()->set_namespace_("web");
    certificate.mutable_metadata()->set_name("site");
    certificate.mutable_spec()->set_secret_name("site-tls");
    certificate.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    certificate.mutable_spec()->add_dns_names(dns_name);
    return certificate;
  }
  absl::StatusOr<v1::Certificate> Create(const v1::Certificate& certificate) {
    v1::CreateCertificateRequest request;
    *request.mutable_certificate() = certificate;
    CW_ASSIGN_OR_RETURN(auto response, Call(*stub_, &Stub::CreateCertificate, request));
    return response.certificate();
  }
  absl::StatusOr<v1::Certificate> Update(const v1::Certificate& certificate) {
    v1::UpdateCertificateRequest request;
    *request.mutable_certificate() = certificate;
    CW_ASSIGN_OR_RETURN(auto response, Call(*stub_, &Stub::UpdateCertificate, request));
    return response.certificate();
  }
  // For the Certificate web/site.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Ask(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                            const Request&, Response*)) {
    Request request;
    request.set_namespace_("web");
    request.set_name("site");
    return Call(*stub_, method, request);
  }

  void StoreSecret(const pki::TestIdentity& identity, const std::string& ca) {
    v1::Secret secret;
    secret.mutable_metadata()->set_namespace_("web");
    secret.mutable_metadata()->set_name("site-tls");
    (*secret.mutable_data())["tls.crt"] = identity.chain_pem;
    (*secret.mutable_data())["tls.key"] = identity.key_pem;
    (*secret.mutable_data())["ca.crt"] = ca;
    CW_ASSERT_OK(Await(stores_->secrets.Create(Context(), secret)));
  }
  void Give(const pki::TestIdentity& identity) {
    v1::Certificate certificate = Read(stores_->certificates, "site");
    certificate.mutable_status()->set_sha256_fingerprint(
        FingerprintOf(pki::ParseChainPem(identity.chain_pem)->front()));
    WriteStatus(stores_->certificates, certificate);
  }

  const pki::TestCa ca_ = pki::TestCa().MakeIntermediate();
  std::unique_ptr<Stub> stub_ = v1::CertificateService::NewStub(Channel());
};

TEST_F(CertificateRpcTest, CreateStoresNormalisedNamesAndDefaultsAndNoStatus) {
  v1::Certificate certificate = MakeCertificate("WWW.Example.");
  certificate.mutable_status()->set_revision(7);
  CW_ASSERT_OK_AND_ASSIGN(const v1::Certificate created, Create(certificate));
  EXPECT_THAT(created.spec().dns_names(), ElementsAre("www.example"));
  EXPECT_EQ(created.spec().issuer_ref().kind(), meta::v1::ISSUER_KIND_ISSUER);
  EXPECT_EQ(created.spec().private_key().algorithm(), v1::PRIVATE_KEY_ALGORITHM_ECDSA);
  EXPECT_FALSE(created.has_status());
  EXPECT_EQ(Ask(&Stub::GetCertificate)->certificate().SerializeAsString(),
            created.SerializeAsString());
}

TEST_F(CertificateRpcTest, CreateAndUpdateNameEveryBrokenField) {
  v1::Certificate certificate;
  certificate.mutable_metadata()->set_name("-");
  certificate.mutable_spec()->add_dns_names("good.example");
  certificate.mutable_spec()->add_dns_names("a..b");
  certificate.mutable_spec()->mutable_duration()->set_seconds(1);
  certificate.mutable_spec()->add_usages("world peace");
  const absl::Status status = Create(certificate).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(BrokenFields(status),
              ElementsAre("metadata.name", "spec.secretName", "spec.issuerRef.name",
                          "spec.dnsNames[1]", "spec.duration", "spec.usages"));
  EXPECT_EQ(BrokenFields(Update(certificate).status()), BrokenFields(status));
}

// Fault 109.
TEST_F(CertificateRpcTest, WhatNoIssuerThatItNamesCanGetSignedIsRefused) {
  v1::Issuer acme;
  acme.mutable_metadata()->set_namespace_("web");
  acme.mutable_metadata()->set_name("ca");
  acme.mutable_spec()->mutable_acme()->set_server("https://ca.test/directory");
  acme.mutable_spec()->mutable_acme()->add_solvers()->mutable_dns01();
  const std::string label(60, 'a');
  const std::string long_name =
      absl::StrCat(label, ".", label, ".", label, ".", std::string(50, 'a'), ".test");
  const std::vector<std::pair<std::string, std::function<void(v1::CertificateSpec&)>>> cases = {
      {"spec.dnsNames[1]", [&](auto& spec) { spec.add_dns_names(long_name); }},
      {"spec.dnsNames[1]", [&](auto& spec) { spec.add_dns_names("*." + long_name); }},
      {"spec.uris", [](auto& spec) { spec.add_uris("urn:a"); }},
      {"spec.emailAddresses", [](auto& spec) { spec.add_email_addresses("a@b.example"); }},
      {"spec.isCa", [](auto& spec) { spec.set_is_ca(true); }},
      {"spec.commonName", [](auto& spec) { spec.set_literal_subject("CN=My service"); }}};
  int made = 0;
  const auto make = [&](const std::function<void(v1::CertificateSpec&)>& change) {
    v1::Certificate certificate = MakeCertificate("www.example");
    certificate.mutable_metadata()->set_name(absl::StrCat("site-", ++made));
    change(*certificate.mutable_spec());
    return certificate;
  };
  // What does not exist yet may be an issuer that can.
  for (const auto& [field, change] : cases) CW_EXPECT_OK(Create(make(change))) << field;
  CW_ASSERT_OK(Await(stores_->issuers.Create(Context(), acme)));
  for (const auto& [field, change] : cases) {
    const absl::Status status = Create(make(change)).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument)) << field;
    EXPECT_THAT(BrokenFields(status), ElementsAre(field));
    v1::Certificate with_fallback = make(change);
    with_fallback.mutable_spec()->add_fallback_issuer_refs()->set_name("unknown");
    CW_EXPECT_OK(Create(with_fallback)) << field;
  }
  CW_ASSERT_OK_AND_ASSIGN(v1::Certificate good, Create(make([](auto&) {})));
  good.mutable_spec()->add_uris("urn:a");
  EXPECT_THAT(BrokenFields(Update(good).status()), ElementsAre("spec.uris"));
}

TEST_F(CertificateRpcTest, DescribesWhatIsThere) {
  EXPECT_THAT(Ask(&Stub::DescribeCertificate),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Certificate web/site")));
  CW_ASSERT_OK(Create(MakeCertificate("www.example")));
  CW_ASSERT_OK_AND_ASSIGN(const auto response, Ask(&Stub::DescribeCertificate));
  EXPECT_EQ(response.certificate().metadata().name(), "site");
}

TEST_F(CertificateRpcTest, UpdateOfAStaleVersionIsAbortedAndChangesNothing) {
  CW_ASSERT_OK_AND_ASSIGN(v1::Certificate stale, Create(MakeCertificate("old.example")));
  CW_ASSERT_OK_AND_ASSIGN(const v1::Certificate changed,
                          Update(MakeCertificate("new.example")));
  EXPECT_EQ(changed.metadata().generation(), 2);
  stale.mutable_spec()->set_dns_names(0, "lost.example");
  EXPECT_THAT(Update(stale), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(Read(stores_->certificates, "site").spec().dns_names(),
              ElementsAre("new.example"));
}

TEST_F(CertificateRpcTest, RenewAsksForAnotherUnlessOneIsOnTheWay) {
  EXPECT_THAT(Ask(&Stub::RenewCertificate),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Certificate web/site")));
  CW_ASSERT_OK(Create(MakeCertificate("www.example")));
  CW_ASSERT_OK_AND_ASSIGN(const auto renewed, Ask(&Stub::RenewCertificate));
  EXPECT_EQ(ConditionOf(renewed.certificate(), "Issuing"), "True ManuallyTriggered");
  EXPECT_EQ(ConditionOf(Read(stores_->certificates, "site"), "Issuing"),
            "True ManuallyTriggered");

  v1::Certificate on_the_way = Read(stores_->certificates, "site");
  on_the_way.mutable_status()->set_certificate_request_name("site-1");
  service::SetCondition(*on_the_way.mutable_status()->mutable_conditions(),
                        {"Issuing", true, "Renewing", ""}, 1, clock_.Now());
  WriteStatus(stores_->certificates, on_the_way);
  CW_EXPECT_OK(Ask(&Stub::RenewCertificate));
  EXPECT_EQ(ConditionOf(Read(stores_->certificates, "site"), "Issuing"), "True Renewing");
}

TEST_F(CertificateRpcTest, OnlyACertificateThatIsThereIsRevoked) {
  EXPECT_THAT(Ask(&Stub::RevokeCertificate),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Certificate web/site")));
  CW_ASSERT_OK(Create(MakeCertificate("www.example")));
  EXPECT_EQ(rpc::ErrorReasonOf(Ask(&Stub::RevokeCertificate).status()), "NOT_ISSUED");
}

TEST_F(CertificateRpcTest, ChainIsReadWithoutTheKey) {
  EXPECT_THAT(Ask(&Stub::GetCertificateChain),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Certificate web/site")));
  CW_ASSERT_OK(Create(MakeCertificate("www.example")));
  const absl::Status not_yet = Ask(&Stub::GetCertificateChain).status();
  EXPECT_THAT(not_yet, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(rpc::ErrorReasonOf(not_yet), "NOT_ISSUED");

  const pki::TestIdentity identity = ca_.Issue({});
  StoreSecret(identity, ca_.root().Pem());
  EXPECT_EQ(rpc::ErrorReasonOf(Ask(&Stub::GetCertificateChain).status()), "NOT_GIVEN");
  Give(identity);
  CW_ASSERT_OK_AND_ASSIGN(const auto chain, Ask(&Stub::GetCertificateChain));
  EXPECT_EQ(chain.certificate(), identity.chain_pem);
  EXPECT_EQ(chain.ca(), ca_.root().Pem());
}

TEST_F(CertificateRpcTest, NothingButCertificatesIsReadWithTheChain) {
  CW_ASSERT_OK(Create(MakeCertificate("www.example")));
  pki::TestIdentity identity = ca_.Issue({});
  Give(identity);
  const std::string chain_pem = identity.chain_pem;
  identity.chain_pem = "a note\n" + chain_pem + "a password\n";
  StoreSecret(identity, "a token");
  CW_ASSERT_OK_AND_ASSIGN(const auto chain, Ask(&Stub::GetCertificateChain));
  EXPECT_EQ(chain.certificate(), chain_pem);
  EXPECT_EQ(chain.ca(), "");

  CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "site-tls")));
  identity.chain_pem = chain_pem + identity.key_pem;
  StoreSecret(identity, ca_.root().Pem());
  EXPECT_EQ(rpc::ErrorReasonOf(Ask(&Stub::GetCertificateChain).status()), "NOT_ISSUED");
}

TEST_F(CertificateRpcTest, AWatchGoesOnFromWhereAnotherEnded) {
  CW_ASSERT_OK_AND_ASSIGN(const v1::Certificate created,
                          Create(MakeCertificate("old.example")));
  CW_ASSERT_OK(Update(MakeCertificate("new.example")));
  CW_ASSERT_OK(Ask(&Stub::DeleteCertificate));
  v1::WatchCertificatesRequest request;
  request.set_namespace_("web");
  request.set_name("site");
  request.set_resource_version(created.metadata().resource_version());
  grpc::ClientContext context;
  SetDeadline(context);
  const auto stream = stub_->WatchCertificates(&context, request);
  v1::WatchCertificatesResponse event;
  ASSERT_TRUE(ReadChange(*stream, event));
  EXPECT_EQ(event.type(), meta::v1::EVENT_TYPE_MODIFIED);
  EXPECT_THAT(event.certificate().spec().dns_names(), ElementsAre("new.example"));
  ASSERT_TRUE(ReadChange(*stream, event));
  EXPECT_EQ(event.type(), meta::v1::EVENT_TYPE_DELETED);
  context.TryCancel();
  stream->Finish();
}

}  // namespace
}  // namespace certwright::issuer_service
