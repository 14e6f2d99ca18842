// CertificateReconcilerTest: the Certificate web/site and what its reconciler makes of it, with
// a CA of the test's own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/pki/test_ca.h"
#include "services/issuer/certificate_reconciler.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {

class CertificateReconcilerTest : public IssuerWorld {
 protected:
  void Create(const std::string& name = "site") {
    issuer::v1::Certificate certificate;
    certificate.mutable_metadata()->set_namespace_("web");
    certificate.mutable_metadata()->set_name(name);
    certificate.mutable_spec()->set_secret_name("site-tls");
    certificate.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    certificate.mutable_spec()->add_dns_names("a.example");
    rpc::Violations violations;
    ValidateCertificate(certificate, violations);
    const auto created = Await(stores_->certificates.Create(Context(), certificate));
    CW_ASSERT_OK(created);
    secret_users_.Replace({}, UsesOf(*created));
  }
  template <typename Change>
  void ChangeSpec(Change change) {
    issuer::v1::Certificate certificate = Site();
    change(*certificate.mutable_spec());
    CW_ASSERT_OK(Await(stores_->certificates.Update(Context(), certificate)));
  }
  controller::Result Pass(const std::string& name = "site") {
    const auto result = Await(reconciler_.Reconcile(Context(), "web/" + name));
    EXPECT_THAT(result, base::IsOk());
    return result.value_or(controller::Result());
  }

  issuer::v1::Certificate Site() { return Read(stores_->certificates, "site"); }
  issuer::v1::Secret SiteSecret() { return Read(stores_->secrets, "site-tls"); }
  std::string RequestName() { return Site().status().certificate_request_name(); }
  issuer::v1::CertificateRequest Request() { return Read(stores_->requests, RequestName()); }

  // To the moment at which the present certificate is to be renewed.
  void AdvanceToRenewal() {
    const absl::Time renewal = service::FromProto(Site().status().renewal_time());
    clock_.Advance(renewal - clock_.Now() + absl::Seconds(1));
  }

  // What the request's reconciler does when the CA has issued, or has refused to.
  void Sign() {
    issuer::v1::CertificateRequest request = Request();
    pki::TestCertificateSpec spec;
    spec.not_before = clock_.Now();
    spec.not_after = clock_.Now() + absl::Hours(90 * 24);
    const auto chain = ca_.ChainFor(ca_.SignCsr(request.spec().request(), spec));
    request.mutable_status()->set_certificate(pki::ToPem(chain));
    request.mutable_status()->set_ca(ca_.certificate().Pem());
    SetReady(request, true, "Issued");
  }
  void Refuse() {
    issuer::v1::CertificateRequest request = Request();
    SetReady(request, false, "Failed");
  }
  void FailAtIssuer(const std::string& problem) {
    issuer::v1::CertificateRequest request = Request();
    request.mutable_status()->add_failure_types(problem);
    SetReady(request, false, "Failed");
  }
  void SetReady(issuer::v1::CertificateRequest& request, bool ready,
                const std::string& reason) {
    service::SetCondition(*request.mutable_status()->mutable_conditions(),
                          {"Ready", ready, reason, "the CA said so"}, 1, clock_.Now());
    WriteStatus(stores_->requests, request);
  }
  void Issue() {
    Pass();
    Sign();
    Pass();
  }
  // One of the same CA for the same name, with its key, as an admin of the namespace may.
  void PutAnotherCertificate() {
    pki::SubjectAltNames names;
    names.dns_names = {"a.example"};
    const pki::TestIdentity other = ca_.Issue(names);
    issuer::v1::Secret secret = SiteSecret();
    (*secret.mutable_data())[kCertificateKey] = other.chain_pem;
    (*secret.mutable_data())[kPrivateKeyKey] = other.key_pem;
    CW_ASSERT_OK(Await(stores_->secrets.Update(Context(), secret)));
  }
  void KnowRequests() {
    const auto page = Await(stores_->requests.List(Context(), {}));
    CW_ASSERT_OK(page);
    for (const issuer::v1::CertificateRequest& request : page->resources) {
      requests_.Replace(nullptr,
                        std::make_shared<const issuer::v1::CertificateRequest>(request));
    }
  }

  const pki::TestCa ca_ = pki::TestCa().MakeIntermediate();
  CertificateRequests requests_;
  SecretUsers secret_users_;
  PrivateCas private_cas_{
      [](const std::string&) { return std::vector<std::string>{"web/site"}; },
      [](const std::string&) {}};
  CertificateReconciler reconciler_{Environment(), *stores_, requests_, secret_users_,
                                    private_cas_};
};

}  // namespace certwright::issuer_service
