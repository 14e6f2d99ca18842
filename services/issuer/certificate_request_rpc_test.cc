#include "services/issuer/certificate_request_rpc.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/csr.h"
#include "services/issuer/issuer_rpc_testing.h"
#include "services/issuer/signing_issuers.h"

namespace certwright::issuer_service {
namespace {

namespace v1 = issuer::v1;

using base::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Stub = v1::CertificateRequestService::StubInterface;

class CertificateRequestRpcTest : public RpcWorld {
 protected:
  explicit CertificateRequestRpcTest(Transport transport = Transport::kPlaintext)
      : RpcWorld(transport) {}

  static v1::CertificateRequest MakeRequest(pki::CsrSpec csr = {}) {
    csr.names.dns_names = {"www.example"};
    return RequestOf(csr);
  }
  static v1::CertificateRequest RequestOf(const pki::CsrSpec& csr) {
    v1::CertificateRequest request;
    request.mutable_metadata()->set_namespace_("web");
    request.mutable_metadata()->set_name("site-1");
    request.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    request.mutable_spec()->set_request(
        *pki::CreateCsrPem(csr, *pki::PrivateKey::Generate(pki::KeySpec())));
    return request;
  }
  absl::StatusOr<v1::CertificateRequest> Create(const v1::CertificateRequest& resource) {
    v1::CreateCertificateRequestRequest request;
    *request.mutable_certificate_request() = resource;
    CW_ASSIGN_OR_RETURN(auto response, Call(*stub_, &Stub::CreateCertificateRequest, request));
    return response.certificate_request();
  }
  absl::StatusOr<v1::CertificateRequest> Approve(const std::string& reason = "",
                                                 const std::string& message = "") {
    return Judge(&Stub::ApproveCertificateRequest, reason, message);
  }
  absl::StatusOr<v1::CertificateRequest> Deny() {
    return Judge(&Stub::DenyCertificateRequest, "", "");
  }

  // Of what was looked at: what there is, unless a test says otherwise.
  std::string Uid() {
    if (!uid_.empty()) return uid_;
    const std::string stored = Read(stores_->requests, "site-1").metadata().uid();
    return stored.empty() ? "none" : stored;
  }

  void CreateAcmeIssuer() {
    v1::Issuer acme;
    acme.mutable_metadata()->set_namespace_("web");
    acme.mutable_metadata()->set_name("ca");
    acme.mutable_spec()->mutable_acme()->set_server("https://ca.test/directory");
    CW_ASSERT_OK(Await(stores_->issuers.Create(Context(), acme)));
  }

  std::string uid_;
  std::unique_ptr<Stub> stub_ = v1::CertificateRequestService::NewStub(Channel("ann.test"));

  template <typename Request, typename Response>
  absl::StatusOr<v1::CertificateRequest> Judge(
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
      const std::string& reason, const std::string& message) {
    Request request;
    request.set_namespace_("web");
    request.set_name("site-1");
    request.set_uid(Uid());
    request.set_reason(reason);
    request.set_message(message);
    CW_ASSIGN_OR_RETURN(auto response, Call(*stub_, method, request));
    return response.certificate_request();
  }
};

// Fault 109.
TEST_F(CertificateRequestRpcTest, WhatItsIssuerCannotGetSignedIsRefused) {
  CreateAcmeIssuer();
  pki::CsrSpec with_uri;
  with_uri.names.uris = {"urn:a"};
  pki::CsrSpec with_address;
  with_address.names.email_addresses = {"a@b.example"};
  pki::CsrSpec with_subject;
  with_subject.subject.common_name = "My service";
  for (const pki::CsrSpec& csr : {with_uri, with_address, with_subject}) {
    const absl::Status status = Create(MakeRequest(csr)).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ACME server")));
    EXPECT_THAT(BrokenFields(status), ElementsAre("spec.request"));
  }
  CW_EXPECT_OK(Create(MakeRequest()));
}

// Fault 120.
TEST_F(CertificateRequestRpcTest, ASigningRequestWithOnlyACommonNameIsToldWhereNamesBelong) {
  CreateAcmeIssuer();
  for (const char* common_name : {"www.example", "192.0.2.1", "My service"}) {
    pki::CsrSpec csr;
    csr.subject.common_name = common_name;
    const absl::Status status = Create(RequestOf(csr)).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("among the subject alternative names only")));
    EXPECT_THAT(BrokenFields(status), testing::Contains("spec.request"));
  }
}

TEST_F(CertificateRequestRpcTest, CreateNamesEveryBrokenField) {
  v1::CertificateRequest request = MakeRequest();
  request.mutable_metadata()->set_name("Bad_Name");
  request.mutable_spec()->clear_issuer_ref();
  request.mutable_spec()->set_request("no PEM");
  request.mutable_spec()->add_usages("world peace");
  request.mutable_spec()->mutable_duration()->set_seconds(1);
  const absl::Status status = Create(request).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(BrokenFields(status),
              ElementsAre("metadata.name", "spec.issuerRef.name", "spec.request", "spec.usages",
                          "spec.duration"));
}

TEST_F(CertificateRequestRpcTest, NobodyApprovesWithCreate) {
  v1::CertificateRequest request = MakeRequest();
  service::SetCondition(*request.mutable_status()->mutable_conditions(),
                        {"Approved", true, "Forged", ""}, 1, clock_.Now());
  CW_ASSERT_OK_AND_ASSIGN(const v1::CertificateRequest created, Create(request));
  EXPECT_EQ(ConditionOf(created, "Approved"), "");
  EXPECT_EQ(ConditionOf(Read(stores_->requests, "site-1"), "Approved"), "");
}

TEST_F(CertificateRequestRpcTest, ApprovalIsWrittenWithItsReason) {
  EXPECT_THAT(Approve(), StatusIs(absl::StatusCode::kNotFound,
                                  HasSubstr("CertificateRequest web/site-1")));
  CW_ASSERT_OK(Create(MakeRequest()));
  CW_ASSERT_OK_AND_ASSIGN(const v1::CertificateRequest approved,
                          Approve("Policy", "by the four-eyes rule"));
  EXPECT_EQ(ConditionOf(approved, "Approved"), "True Policy");
  EXPECT_EQ(service::FindCondition(Read(stores_->requests, "site-1").status().conditions(),
                                   "Approved")
                ->message(),
            "by the four-eyes rule");
}

TEST_F(CertificateRequestRpcTest, AVerdictIsFinal) {
  CW_ASSERT_OK(Create(MakeRequest()));
  CW_ASSERT_OK_AND_ASSIGN(const v1::CertificateRequest denied, Deny());
  EXPECT_EQ(ConditionOf(denied, "Denied"), "True DeniedByUser");
  const absl::Status status = Approve().status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("Denied")));
  EXPECT_EQ(rpc::ErrorReasonOf(status), "ALREADY_JUDGED");
  // The same once more changes nothing.
  CW_ASSERT_OK_AND_ASSIGN(const v1::CertificateRequest again, Deny());
  EXPECT_EQ(again.metadata().resource_version(), denied.metadata().resource_version());
  EXPECT_EQ(ConditionOf(Read(stores_->requests, "site-1"), "Approved"), "");
}

TEST_F(CertificateRequestRpcTest, AVerdictIsAboutTheRequestThatWasLookedAt) {
  CW_ASSERT_OK_AND_ASSIGN(const v1::CertificateRequest seen, Create(MakeRequest()));
  CW_ASSERT_OK(Await(stores_->requests.Delete(Context(), "web", "site-1")));
  CW_ASSERT_OK(Create(MakeRequest()));
  uid_ = seen.metadata().uid();
  EXPECT_THAT(Approve(), StatusIs(absl::StatusCode::kAborted,
                                  AllOf(HasSubstr("web/site-1"), HasSubstr("read it"))));
  EXPECT_THAT(Deny(), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(ConditionOf(Read(stores_->requests, "site-1"), "Approved"), "");
  EXPECT_EQ(ConditionOf(Read(stores_->requests, "site-1"), "Denied"), "");
}

TEST_F(CertificateRequestRpcTest, AVerdictNeedsAUid) {
  CW_ASSERT_OK(Create(MakeRequest()));
  v1::ApproveCertificateRequestRequest approve;
  v1::DenyCertificateRequestRequest deny;
  for (auto* name : {approve.mutable_name(), deny.mutable_name()}) *name = "site-1";
  for (auto* where : {approve.mutable_namespace_(), deny.mutable_namespace_()}) *where = "web";
  EXPECT_THAT(BrokenFields(Call(*stub_, &Stub::ApproveCertificateRequest, approve).status()),
              ElementsAre("uid"));
  EXPECT_THAT(BrokenFields(Call(*stub_, &Stub::DenyCertificateRequest, deny).status()),
              ElementsAre("uid"));
}

TEST_F(CertificateRequestRpcTest, AnApprovedRequestCannotBeDenied) {
  CW_ASSERT_OK(Create(MakeRequest()));
  CW_ASSERT_OK(Approve());
  EXPECT_THAT(Deny(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("Approved")));
}

TEST_F(CertificateRequestRpcTest, SpecAndSigningRequestMustAgree) {
  pki::CsrSpec csr;
  csr.is_ca = true;
  csr.usages = {"digital signature", "server auth"};
  v1::CertificateRequest request = MakeRequest(csr);
  request.mutable_spec()->add_usages("server auth");
  absl::Status status = Create(request).status();
  EXPECT_THAT(BrokenFields(status), ElementsAre("spec.isCa", "spec.usages"));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("digital signature, server auth")));
  request.mutable_spec()->set_is_ca(true);
  // Another word for the same.
  request.mutable_spec()->add_usages("signing");
  CW_EXPECT_OK(Create(request));
}

TEST_F(CertificateRequestRpcTest, ASigningRequestWithoutUsagesAgreesWithAll) {
  v1::CertificateRequest request = MakeRequest();
  request.mutable_spec()->add_usages("client auth");
  CW_EXPECT_OK(Create(request));
}

TEST_F(CertificateRequestRpcTest, ACaByTheSpecAloneIsRefused) {
  v1::CertificateRequest request = MakeRequest();
  request.mutable_spec()->set_is_ca(true);
  EXPECT_THAT(BrokenFields(Create(request).status()), ElementsAre("spec.isCa"));
}

TEST_F(CertificateRequestRpcTest, WhatCertificatesSetIsRefused) {
  v1::CertificateRequest request = MakeRequest();
  request.mutable_spec()->set_replaces("AAAA.BBBB");
  (*request.mutable_metadata()->mutable_annotations())[kCertificateNameAnnotation] = "site";
  EXPECT_THAT(BrokenFields(Create(request).status()),
              ElementsAre("spec.replaces", "metadata.annotations"));
}

TEST_F(CertificateRequestRpcTest, AForgedSignatureIsRefused) {
  v1::CertificateRequest request = MakeRequest();
  std::string& pem = *request.mutable_spec()->mutable_request();
  // Within the signature, which ends the request.
  char& digit = pem[pem.find("\n-----END") - 10];
  digit = digit == 'A' ? 'B' : 'A';
  EXPECT_THAT(BrokenFields(Create(request).status()), ElementsAre("spec.request"));
}

TEST_F(CertificateRequestRpcTest, WithoutTlsTheRequesterIsUnknown) {
  v1::CertificateRequest request = MakeRequest();
  request.mutable_spec()->set_requester("certwright.io/certificates");
  CW_ASSERT_OK_AND_ASSIGN(const v1::CertificateRequest created, Create(request));
  EXPECT_EQ(created.spec().requester(), "");
}

TEST_F(CertificateRequestRpcTest, AVerdictNamesEveryBrokenField) {
  CW_ASSERT_OK(Create(MakeRequest()));
  for (const std::string& reason :
       {std::string("by Ann"), std::string("lower"), std::string(65, 'A')}) {
    const absl::Status status = Approve(reason, std::string(1025, 'x')).status();
    EXPECT_THAT(BrokenFields(status), ElementsAre("reason", "message")) << reason;
  }
  EXPECT_EQ(ConditionOf(Read(stores_->requests, "site-1"), "Approved"), "");
}

TEST_F(CertificateRequestRpcTest, ARequestThatHasEndedIsJudgedNoMore) {
  CW_ASSERT_OK_AND_ASSIGN(v1::CertificateRequest request, Create(MakeRequest()));
  service::SetCondition(*request.mutable_status()->mutable_conditions(),
                        {"Ready", false, "Failed", ""}, 1, clock_.Now());
  WriteStatus(stores_->requests, request);
  const absl::Status status = Approve().status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(rpc::ErrorReasonOf(status), "FINAL");
  EXPECT_THAT(Deny(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(CertificateRequestRpcTest, AnApprovalThatLedToACertificateMayBeRepeated) {
  CW_ASSERT_OK(Create(MakeRequest()));
  CW_ASSERT_OK_AND_ASSIGN(v1::CertificateRequest request, Approve());
  service::SetCondition(*request.mutable_status()->mutable_conditions(),
                        {"Ready", true, "Issued", ""}, 1, clock_.Now());
  WriteStatus(stores_->requests, request);
  CW_EXPECT_OK(Approve());
}

class CertificateRequestRpcTlsTest : public CertificateRequestRpcTest {
 protected:
  CertificateRequestRpcTlsTest() : CertificateRequestRpcTest(Transport::kMutualTls) {}
};

TEST_F(CertificateRequestRpcTlsTest, TheRequesterIsWhoeverTheCertificateNames) {
  v1::CertificateRequest request = MakeRequest();
  request.mutable_spec()->set_requester("someone.else");
  CW_ASSERT_OK_AND_ASSIGN(const v1::CertificateRequest created, Create(request));
  EXPECT_EQ(created.spec().requester(), "ann.test");
}

TEST_F(CertificateRequestRpcTlsTest, AKeyIsUsedOnlyForWhoeverMayReadIt) {
  v1::CertificateRequest request = MakeRequest();
  (*request.mutable_metadata()->mutable_annotations())[kPrivateKeySecretAnnotation] = "root";
  EXPECT_THAT(Create(request), StatusIs(absl::StatusCode::kPermissionDenied,
                                        AllOf(HasSubstr(kPrivateKeySecretAnnotation),
                                              HasSubstr("secret-reader"))));
  stub_ = v1::CertificateRequestService::NewStub(Channel("operator.test"));
  CW_EXPECT_OK(Create(request));
}

TEST_F(CertificateRequestRpcTlsTest, OnlyApproversJudge) {
  CW_ASSERT_OK(Create(MakeRequest()));
  EXPECT_THAT(Approve(), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("the role")));
  EXPECT_THAT(Deny(), StatusIs(absl::StatusCode::kPermissionDenied));
  stub_ = v1::CertificateRequestService::NewStub(Channel("other-approver.test"));
  EXPECT_THAT(Approve(), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("Issuer ca")));
  stub_ = v1::CertificateRequestService::NewStub(Channel("approver.test"));
  CW_EXPECT_OK(Approve());
}

TEST_F(CertificateRequestRpcTest, DeleteLeavesTheRequestToItsReconciler) {
  CW_ASSERT_OK(Create(MakeRequest()));
  v1::DeleteCertificateRequestRequest request;
  request.set_namespace_("web");
  request.set_name("site-1");
  CW_ASSERT_OK(Call(*stub_, &Stub::DeleteCertificateRequest, request));
  EXPECT_TRUE(Read(stores_->requests, "site-1").metadata().has_delete_time());
}

}  // namespace
}  // namespace certwright::issuer_service
