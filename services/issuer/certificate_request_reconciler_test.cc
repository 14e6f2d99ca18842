#include "services/issuer/certificate_request_reconciler.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/issuer/certificate_request_testing.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateRequest;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using CertificateRequestReconcilerTest = CertificateRequestWorld;

TEST_F(CertificateRequestReconcilerTest, OrdersWhatTheRequestAsksFor) {
  CreateIssuer();
  const CertificateRequest request = Pass();
  EXPECT_EQ(ConditionOf(request, "Approved"), "True certwright.io");
  EXPECT_EQ(ConditionOf(request), "False Pending");
  ASSERT_THAT(orders_.created, SizeIs(1));
  const order::v1::Order& order = orders_.created[0];
  EXPECT_EQ(order.metadata().name(), CertificateRequestReconciler::OrderName(request));
  EXPECT_EQ(request.status().order_name(), order.metadata().name());
  EXPECT_EQ(order.metadata().namespace_(), "web");
  EXPECT_EQ(order.metadata().labels().at("team"), "x");
  EXPECT_EQ(order.metadata().owner().uid(), request.metadata().uid());
  EXPECT_EQ(order.spec().request(), request.spec().request());
  EXPECT_EQ(order.spec().issuer_ref().name(), "ca");
  EXPECT_EQ(order.spec().common_name(), "a.example");
  EXPECT_THAT(order.spec().dns_names(), ElementsAre("a.example", "b.example"));
  EXPECT_THAT(order.spec().ip_addresses(), ElementsAre("192.0.2.1"));
  EXPECT_EQ(order.spec().profile(), "classic");
  EXPECT_FALSE(order.spec().has_duration());
}

TEST_F(CertificateRequestReconcilerTest, OrdersADurationOnlyIfTheIssuerSaysSo) {
  CreateIssuer(true, true);
  Pass();
  ASSERT_THAT(orders_.created, SizeIs(1));
  EXPECT_EQ(orders_.created[0].spec().duration().seconds(), 3600);
}

TEST_F(CertificateRequestReconcilerTest, WaitsForTheIssuer) {
  EXPECT_EQ(ConditionOf(Pass()), "False IssuerNotFound");
  CreateIssuer(false);
  EXPECT_EQ(ConditionOf(Pass()), "False IssuerNotReady");
  EXPECT_THAT(Message(), HasSubstr("no account yet"));
  EXPECT_THAT(orders_.created, IsEmpty());
}

TEST_F(CertificateRequestReconcilerTest, AnOrderOnItsWayIsFollowedWhateverBecomesOfTheIssuer) {
  CreateIssuer();
  Pass();
  issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
  service::SetCondition(*issuer.mutable_status()->mutable_conditions(),
                        {"Ready", false, "ServerUnavailable", "no answer"}, 1, clock_.Now());
  WriteStatus(stores_->issuers, issuer);
  EXPECT_EQ(ConditionOf(Pass()), "False Pending");
  Report(Valid(Chain()));
  EXPECT_EQ(ConditionOf(Pass()), "True Issued");
}

TEST_F(CertificateRequestReconcilerTest, RepeatsTheSameOrderWhileItsServiceIsAway) {
  CreateIssuer();
  orders_.error = absl::UnavailableError("connection refused");
  EXPECT_THAT(TryPass(), base::StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(ConditionOf(Request()), "False Pending");
  EXPECT_THAT(Message(), HasSubstr("connection refused"));
  orders_.error = absl::OkStatus();
  Pass();
  ASSERT_THAT(orders_.created, SizeIs(2));
  EXPECT_EQ(orders_.created[0].metadata().name(), orders_.created[1].metadata().name());
}

// Fault 109.
TEST_F(CertificateRequestReconcilerTest, AnOrderThatItsServiceRefusesFailsTheRequest) {
  CreateIssuer();
  orders_.error = absl::InvalidArgumentError("spec.dnsNames: must be at most 100 names");
  const CertificateRequest request = Pass();
  EXPECT_EQ(ConditionOf(request), "False Failed");
  EXPECT_THAT(Message(), HasSubstr("order service"));
  EXPECT_THAT(Message(), HasSubstr("must be at most 100 names"));
  EXPECT_TRUE(request.status().has_failure_time());
  EXPECT_EQ(request.status().order_name(), "");
  Pass();
  EXPECT_THAT(orders_.created, SizeIs(1)) << "it is final";
}

// Fault 109.
TEST_F(CertificateRequestReconcilerTest, WhatIsRefusedAndWhatIsAnOutage) {
  CreateIssuer();
  const std::vector<std::pair<absl::Status, std::string>> cases = {
      {absl::UnavailableError("x"), "False Pending"},
      {absl::ResourceExhaustedError("x"), "False Pending"},
      {absl::DeadlineExceededError("x"), "False Pending"},
      {absl::PermissionDeniedError("x"), "False Pending"},
      {absl::InternalError("x"), "False Pending"},
      {absl::FailedPreconditionError("x"), "False Failed"}};
  for (const auto& [error, condition] : cases) {
    orders_.error = error;
    EXPECT_EQ(TryPass().ok(), condition == "False Failed") << error;
    EXPECT_EQ(ConditionOf(Request()), condition) << error;
  }
}

TEST_F(CertificateRequestReconcilerTest, BringsTheCertificateBack) {
  CreateIssuer();
  Pass();
  const auto chain = Chain();
  Report(Valid(chain));
  const CertificateRequest request = Pass();
  EXPECT_EQ(ConditionOf(request), "True Issued");
  EXPECT_EQ(request.status().certificate(), pki::ToPem(chain));
  EXPECT_EQ(request.status().ca(), ca_.certificate().Pem());
  EXPECT_THAT(orders_.created, SizeIs(1));
}

// Fault 61.
TEST_F(CertificateRequestReconcilerTest, ServesTheChainWithoutTheRootThatTheCaHandsOut) {
  CreateIssuer();
  Pass();
  const auto chain = Chain();
  auto with_root = chain;
  with_root.push_back(ca_.root());
  Report(Valid(with_root));
  const CertificateRequest request = Pass();
  EXPECT_EQ(ConditionOf(request), "True Issued");
  EXPECT_EQ(request.status().certificate(), pki::ToPem(chain));
  EXPECT_EQ(request.status().ca(), ca_.root().Pem());
}

TEST_F(CertificateRequestReconcilerTest, RefusesACertificateThatWasNotAskedFor) {
  CreateIssuer();
  Pass();
  pki::TestCertificateSpec spec;
  spec.names.dns_names = {"a.example", "b.example"};
  spec.names.ip_addresses = {"192.0.2.1"};
  const auto other_key = pki::PrivateKey::Generate(pki::KeySpec());
  Report(Valid(ca_.ChainFor(ca_.Sign(other_key->public_key(), spec))));
  const CertificateRequest request = Pass();
  EXPECT_EQ(ConditionOf(request), "False Failed");
  EXPECT_THAT(Message(), HasSubstr("not what was asked for"));
  EXPECT_TRUE(request.status().has_failure_time());
  EXPECT_EQ(request.status().certificate(), "");
}

TEST_F(CertificateRequestReconcilerTest, RefusesACertificateForOtherNames) {
  CreateIssuer();
  Pass();
  pki::TestCertificateSpec spec;
  spec.names.dns_names = {"a.example", "evil.example"};
  Report(Valid(ca_.ChainFor(ca_.Sign(key_.public_key(), spec))));
  EXPECT_EQ(ConditionOf(Pass()), "False Failed");
}

TEST_F(CertificateRequestReconcilerTest, RefusesWhatIsNoCertificate) {
  CreateIssuer();
  Pass();
  order::v1::OrderStatus status;
  status.set_state(order::v1::ORDER_STATE_VALID);
  status.set_certificate("not PEM");
  Report(status);
  EXPECT_EQ(ConditionOf(Pass()), "False Failed");
}

class FailedOrderTest : public CertificateRequestReconcilerTest,
                        public testing::WithParamInterface<order::v1::OrderState> {};

TEST_P(FailedOrderTest, FailsTheRequestForGood) {
  CreateIssuer();
  Pass();
  order::v1::OrderStatus status;
  status.set_state(GetParam());
  status.set_reason("The CA saw a wrong record.");
  Report(status);
  CertificateRequest request = Pass();
  EXPECT_EQ(ConditionOf(request), "False Failed");
  EXPECT_EQ(Message(), "The CA saw a wrong record.");
  EXPECT_EQ(service::FromProto(request.status().failure_time()), clock_.Now());
  Report(Valid(Chain()));
  EXPECT_EQ(ConditionOf(Pass()), "False Failed");
}

INSTANTIATE_TEST_SUITE_P(States, FailedOrderTest,
                         testing::Values(order::v1::ORDER_STATE_INVALID,
                                         order::v1::ORDER_STATE_EXPIRED,
                                         order::v1::ORDER_STATE_ERRORED));

TEST_F(CertificateRequestReconcilerTest, PassesOnWhyTheOrderWaits) {
  CreateIssuer();
  Pass();
  order::v1::OrderStatus status;
  status.set_state(order::v1::ORDER_STATE_PENDING);
  service::SetCondition(*status.mutable_conditions(),
                        {"Ready", false, "NoSolver", "No solver for b.example."}, 1,
                        clock_.Now());
  Report(status);
  EXPECT_EQ(ConditionOf(Pass()), "False NoSolver");
  EXPECT_EQ(Message(), "No solver for b.example.");
  // "Failed" would be the end of the request, but the Order goes on.
  service::SetCondition(*status.mutable_conditions(), {"Ready", false, "Failed", "Odd."}, 1,
                        clock_.Now());
  Report(status);
  EXPECT_EQ(ConditionOf(Pass()), "False Pending");
}

TEST_F(CertificateRequestReconcilerTest, TellsSinceWhenTheIssuerIsOutOfReach) {
  CreateIssuer();
  Pass();
  order::v1::OrderStatus status;
  status.set_state(order::v1::ORDER_STATE_PENDING);
  const auto wait_for = [&](const std::string& reason) {
    service::SetCondition(*status.mutable_conditions(), {"Ready", false, reason, "Waits."}, 1,
                          clock_.Now());
    Report(status);
    return Pass();
  };
  wait_for("ServerUnavailable");
  const absl::Time lost = clock_.Now();
  clock_.Advance(absl::Minutes(1));
  *status.mutable_retry_time() = service::ToProto(clock_.Now() + absl::Hours(1));
  CertificateRequest request = wait_for("RateLimited");
  EXPECT_EQ(ConditionOf(request, "IssuerAvailable"), "False RateLimited");
  EXPECT_EQ(service::FromProto(
                service::FindCondition(request.status().conditions(), "IssuerAvailable")
                    ->last_transition_time()),
            lost);
  EXPECT_EQ(service::FromProto(request.status().retry_time()), clock_.Now() + absl::Hours(1));
  status.clear_retry_time();
  request = wait_for("Pending");
  EXPECT_EQ(ConditionOf(request, "IssuerAvailable"), "");
  EXPECT_FALSE(request.status().has_retry_time());
}

TEST_F(CertificateRequestReconcilerTest, KeepsWhatWentWrongForWhich) {
  CreateIssuer();
  Pass();
  order::v1::OrderStatus status;
  status.set_state(order::v1::ORDER_STATE_INVALID);
  status.add_failures()->set_type("dns");
  status.add_failures();
  status.add_failures()->set_type("caa");
  Report(status);
  EXPECT_THAT(Pass().status().failure_types(), ElementsAre("dns", "caa"));
}

TEST(CertificateRequestNeedsPassTest, ForAllButWhatItsReconcilerWrote) {
  CertificateRequest before;
  before.mutable_metadata()->set_uid("one");
  before.mutable_metadata()->set_generation(1);
  const auto changed = [&before](auto change) {
    CertificateRequest now = before;
    change(now);
    return CertificateRequestReconciler::NeedsPass(&before, &now);
  };
  const auto condition = [](const char* type) {
    return [type](CertificateRequest& now) {
      service::SetCondition(*now.mutable_status()->mutable_conditions(),
                            {type, true, "Policy", ""}, 1, absl::UnixEpoch());
    };
  };
  EXPECT_TRUE(CertificateRequestReconciler::NeedsPass(nullptr, &before));
  EXPECT_TRUE(CertificateRequestReconciler::NeedsPass(&before, nullptr));
  EXPECT_TRUE(changed([](auto& now) { now.mutable_metadata()->set_uid("two"); }));
  EXPECT_TRUE(changed([](auto& now) { now.mutable_metadata()->set_generation(2); }));
  EXPECT_TRUE(changed([](auto& now) { now.mutable_metadata()->mutable_delete_time(); }));
  EXPECT_TRUE(changed(condition("Approved")));
  EXPECT_TRUE(changed(condition("Denied")));
  EXPECT_FALSE(changed(condition("Ready")));
  EXPECT_FALSE(changed([](auto& now) { now.mutable_status()->set_certificate("PEM"); }));
  EXPECT_FALSE(changed([](auto& now) { now.mutable_metadata()->set_resource_version("7"); }));
}

TEST_F(CertificateRequestReconcilerTest, DeniedRequestIsNeverOrdered) {
  CreateIssuer();
  CertificateRequest request = Request();
  service::SetCondition(*request.mutable_status()->mutable_conditions(),
                        {"Denied", true, "Policy", "not yours"}, 1, clock_.Now());
  WriteStatus(stores_->requests, request);
  EXPECT_EQ(ConditionOf(Pass()), "False Denied");
  EXPECT_THAT(Message(), HasSubstr("not yours"));
  EXPECT_TRUE(Request().status().has_failure_time());
  EXPECT_THAT(orders_.created, IsEmpty());
}

class ApprovalTest : public CertificateRequestReconcilerTest {
 protected:
  ApprovalPolicy Policy(const std::string& names, config::v1::UnmatchedRequest unmatched) {
    config::v1::Approval approval;
    approval.set_unmatched(unmatched);
    config::v1::ApprovalRule& rule = *approval.add_rules();
    rule.set_name("names");
    rule.add_dns_names(names);
    rule.add_ip_ranges("192.0.2.0/24");
    std::vector<std::string> problems;
    return ApprovalPolicy::Parse(approval, problems);
  }
  CertificateRequest PassUnder(ApprovalPolicy policy) {
    CertificateRequestReconciler reconciler{Environment(), *stores_, accounts_, orders_,
                                            std::move(policy)};
    CW_EXPECT_OK(Await(reconciler.Reconcile(Context(), "web/site-1")));
    return Request();
  }
};

TEST_F(ApprovalTest, ARuleApproves) {
  CreateIssuer();
  const CertificateRequest request =
      PassUnder(Policy("*.example", config::v1::UNMATCHED_REQUEST_WAIT));
  EXPECT_EQ(ConditionOf(request, "Approved"), "True Policy");
  EXPECT_THAT(service::FindCondition(request.status().conditions(), "Approved")->message(),
              HasSubstr("\"names\""));
  EXPECT_THAT(orders_.created, SizeIs(1));
}

TEST_F(ApprovalTest, WhatNoRuleAllowsWaitsForAVerdict) {
  CreateIssuer();
  const ApprovalPolicy policy = Policy("a.example", config::v1::UNMATCHED_REQUEST_WAIT);
  CertificateRequest request = PassUnder(policy);
  EXPECT_EQ(ConditionOf(request), "False Pending");
  EXPECT_THAT(Message(), testing::AllOf(HasSubstr("\"b.example\" is not allowed"),
                                        HasSubstr("ApproveCertificateRequest")));
  EXPECT_FALSE(CertificateRequestReconciler::IsFinal(request));
  EXPECT_THAT(orders_.created, IsEmpty());
  service::SetCondition(*request.mutable_status()->mutable_conditions(),
                        {"Approved", true, "ApprovedByUser", ""}, 1, clock_.Now());
  WriteStatus(stores_->requests, request);
  PassUnder(policy);
  EXPECT_THAT(orders_.created, SizeIs(1));
}

TEST_F(ApprovalTest, WhatNoRuleAllowsIsDeniedIfThePolicySaysSo) {
  CreateIssuer();
  const CertificateRequest request =
      PassUnder(Policy("a.example", config::v1::UNMATCHED_REQUEST_DENY));
  EXPECT_EQ(ConditionOf(request, "Denied"), "True Policy");
  EXPECT_EQ(ConditionOf(request), "False Denied");
  EXPECT_THAT(Message(), HasSubstr("\"b.example\" is not allowed"));
  EXPECT_TRUE(CertificateRequestReconciler::IsFinal(request));
  EXPECT_THAT(orders_.created, IsEmpty());
}

TEST_F(CertificateRequestReconcilerTest, DeletedRequestGoesOnlyAfterItsOrder) {
  CreateIssuer();
  const std::string order_key = "web/" + Pass().status().order_name();
  CW_ASSERT_OK(Await(stores_->requests.MarkDeleted(Context(), "web", "site-1")));
  orders_.error = absl::UnavailableError("connection refused");
  EXPECT_THAT(TryPass(), base::StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(Exists(stores_->requests, "site-1"));
  orders_.error = absl::OkStatus();
  CW_EXPECT_OK(TryPass());
  EXPECT_FALSE(Exists(stores_->requests, "site-1"));
  EXPECT_THAT(orders_.deleted, ElementsAre(order_key, order_key));
  CW_EXPECT_OK(TryPass());
}

TEST_F(CertificateRequestReconcilerTest, AnIssuerWithoutAcmeSignsHere) {
  issuer::v1::Issuer issuer;
  issuer.mutable_metadata()->set_namespace_("web");
  issuer.mutable_metadata()->set_name("ca");
  issuer.mutable_spec()->mutable_ca()->set_secret_name("ca-tls");
  CW_ASSERT_OK(Await(stores_->issuers.Create(Context(), issuer)));
  EXPECT_EQ(ConditionOf(Pass()), "False IssuerNotReady");
  issuer::v1::Issuer stored = Read(stores_->issuers, "ca");
  service::SetCondition(*stored.mutable_status()->mutable_conditions(),
                        {"Ready", true, "KeyPairVerified", ""}, 1, clock_.Now());
  WriteStatus(stores_->issuers, stored);
  // Ready, but its Secret has just gone.
  EXPECT_THAT(TryPass(), base::StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(ConditionOf(Request()), "False Pending");
  EXPECT_THAT(Message(), HasSubstr("ca-tls"));

  issuer::v1::Secret secret;
  secret.mutable_metadata()->set_namespace_("web");
  secret.mutable_metadata()->set_name("ca-tls");
  (*secret.mutable_data())[kCertificateKey] = ca_.certificate().Pem();
  (*secret.mutable_data())[kPrivateKeyKey] = std::string(ca_.key().ToPem().Reveal());
  CW_ASSERT_OK(Await(stores_->secrets.Create(Context(), secret)));
  const CertificateRequest request = Pass();
  EXPECT_EQ(ConditionOf(request), "True Issued");
  EXPECT_EQ(request.status().ca(), ca_.certificate().Pem());
  const auto chain = pki::ParseChainPem(request.status().certificate());
  ASSERT_THAT(chain, base::IsOk());
  ASSERT_THAT(*chain, SizeIs(2));
  EXPECT_EQ(chain->front().not_after - chain->front().not_before, absl::Hours(1));
  EXPECT_THAT(orders_.created, IsEmpty());
}

TEST_F(CertificateRequestReconcilerTest, WhatNoIssuerWillEverSignFails) {
  issuer::v1::Issuer issuer;
  issuer.mutable_metadata()->set_namespace_("web");
  issuer.mutable_metadata()->set_name("ca");
  issuer.mutable_spec()->mutable_self_signed();
  service::SetCondition(*issuer.mutable_status()->mutable_conditions(),
                        {"Ready", true, "IsReady", ""}, 1, clock_.Now());
  CW_ASSERT_OK(Await(stores_->issuers.Create(Context(), issuer)));
  EXPECT_EQ(ConditionOf(Pass()), "False Failed");
  EXPECT_THAT(Message(), HasSubstr("private-key-secret-name"));
  EXPECT_TRUE(Request().status().has_failure_time());
}

TEST_F(CertificateRequestReconcilerTest, AVaultThatIsAwayIsOutOfReach) {
  CreateSecret("web", "vault-token", "token", "s.secret");
  issuer::v1::Issuer issuer;
  issuer.mutable_metadata()->set_namespace_("web");
  issuer.mutable_metadata()->set_name("ca");
  issuer::v1::VaultIssuer& vault = *issuer.mutable_spec()->mutable_vault();
  vault.set_server("https://vault.test");
  vault.set_path("pki/sign/web");
  vault.mutable_token_secret_ref()->set_name("vault-token");
  vault.mutable_token_secret_ref()->set_key("token");
  service::SetCondition(*issuer.mutable_status()->mutable_conditions(),
                        {"Ready", true, "VaultVerified", ""}, 1, clock_.Now());
  CW_ASSERT_OK(Await(stores_->issuers.Create(Context(), issuer)));
  http_.OnAnyOther([](const http::HttpRequest&) -> absl::StatusOr<http::HttpResponse> {
    return absl::UnavailableError("connection refused");
  });
  EXPECT_THAT(TryPass(), base::StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(ConditionOf(Request()), "False ServerUnavailable");
  EXPECT_EQ(ConditionOf(Request(), "IssuerAvailable"), "False ServerUnavailable");
}

TEST_F(CertificateRequestReconcilerTest, WhatNoAcmeServerSignsIsNotOrdered) {
  CreateIssuer();
  pki::CsrSpec csr;
  csr.names.uris = {"urn:a"};
  CertificateRequest request = Request();
  CW_ASSERT_OK(Await(stores_->requests.Delete(Context(), "web", "site-1")));
  request.mutable_spec()->set_request(*pki::CreateCsrPem(csr, key_));
  CW_ASSERT_OK(Await(stores_->requests.Create(Context(), request)));
  EXPECT_EQ(ConditionOf(Pass()), "False Failed");
  EXPECT_THAT(Message(), HasSubstr("DNS names and IP addresses only"));
  EXPECT_THAT(orders_.created, IsEmpty());
}

}  // namespace
}  // namespace certwright::issuer_service
