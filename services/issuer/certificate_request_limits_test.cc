// The limits of a CA, as CertificateRequests meet them.
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/issuer/certificate_request_testing.h"
#include "services/issuer/order_admission.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateRequest;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class RateLimitTest : public CertificateRequestWorld {
 protected:
  // Lets the issuer take two orders a minute, and many certificates for the same names.
  void LimitIssuer(int per_domain = 100, int failed_validations = 100, int orders = 2) {
    issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
    issuer::v1::RateLimits& limits =
        *issuer.mutable_spec()->mutable_acme()->mutable_rate_limits();
    limits.set_orders(orders);
    limits.mutable_orders_window()->set_seconds(60);
    limits.set_certificates_per_domain(per_domain);
    limits.set_certificates_per_name_set(100);
    limits.set_failed_validations(failed_validations);
    CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
    issuer = Read(stores_->issuers, "ca");
    issuer.mutable_status()->mutable_acme()->set_uri("https://ca.test/account/1");
    service::SetCondition(*issuer.mutable_status()->mutable_conditions(),
                          {"Ready", true, "Registered", ""}, issuer.metadata().generation(),
                          clock_.Now());
    WriteStatus(stores_->issuers, issuer);
  }
  // A request like the first one, of a Certificate that ends in `ends_in`.
  void CreateRenewal(const std::string& name, absl::Duration ends_in) {
    issuer::v1::Certificate certificate;
    certificate.mutable_metadata()->set_namespace_("web");
    certificate.mutable_metadata()->set_name("of-" + name);
    CW_ASSERT_OK(Await(stores_->certificates.Create(Context(), certificate)));
    certificate = Read(stores_->certificates, "of-" + name);
    *certificate.mutable_status()->mutable_not_after() =
        service::ToProto(clock_.Now() + ends_in);
    WriteStatus(stores_->certificates, certificate);
    CertificateRequest request;
    request.mutable_metadata()->set_namespace_("web");
    request.mutable_metadata()->set_name(name);
    request.mutable_metadata()->mutable_owner()->set_kind("Certificate");
    request.mutable_metadata()->mutable_owner()->set_name("of-" + name);
    *request.mutable_spec() = Read(stores_->requests, "site-1").spec();
    CW_ASSERT_OK(Await(stores_->requests.Create(Context(), request)));
  }
  // Has the CA take the nth order now.
  void Place(std::size_t nth) {
    order::v1::OrderStatus status;
    status.set_state(order::v1::ORDER_STATE_PENDING);
    status.set_url("https://ca.test/order/1");
    *status.mutable_placed_time() = service::ToProto(clock_.Now());
    Report(status, nth);
  }
  // Has the CA refuse to take the nth order.
  void Limit(std::size_t nth, const std::string& detail, absl::Duration retry_after) {
    order::v1::OrderStatus status;
    *status.mutable_retry_time() = service::ToProto(clock_.Now() + retry_after);
    status.add_failures()->set_type("rateLimited");
    status.mutable_failures(0)->set_detail(detail);
    service::SetCondition(*status.mutable_conditions(), {"Ready", false, "RateLimited", detail},
                          1, clock_.Now());
    Report(status, nth);
  }
  // Has the validation of `name` fail.
  void FailValidation(std::size_t nth, const std::string& name) {
    order::v1::OrderStatus status;
    status.set_state(order::v1::ORDER_STATE_INVALID);
    status.set_url("https://ca.test/order/1");
    *status.mutable_placed_time() = service::ToProto(clock_.Now());
    order::v1::Failure& failure = *status.add_failures();
    failure.set_identifier(name);
    failure.set_type("dns");
    Report(status, nth);
  }
  std::string StateOf(const std::string& name) {
    CW_EXPECT_OK(TryPassFor(name));
    return ConditionOf(Read(stores_->requests, name));
  }
  std::string LimitOf(const std::string& name) {
    return ConditionOf(Read(stores_->requests, name), "RateLimited");
  }
  std::string LimitMessage(const std::string& name) {
    const CertificateRequest request = Read(stores_->requests, name);
    const auto* limited = service::FindCondition(request.status().conditions(), "RateLimited");
    return limited == nullptr ? "" : limited->message();
  }
  // A request for one name that no Certificate owns.
  void CreateFor(const std::string& name, const std::string& dns_name) {
    pki::CsrSpec csr;
    csr.names.dns_names = {dns_name};
    CertificateRequest request;
    request.mutable_metadata()->set_namespace_("web");
    request.mutable_metadata()->set_name(name);
    request.mutable_spec()->set_request(*pki::CreateCsrPem(csr, key_));
    request.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    CW_ASSERT_OK(Await(stores_->requests.Create(Context(), request)));
  }
};

TEST_F(RateLimitTest, OrdersWithinTheIssuersLimitNearestEndFirst) {
  CreateIssuer();
  LimitIssuer();
  CreateRenewal("first", absl::Hours(1));
  CreateRenewal("late", absl::Hours(50));
  CreateRenewal("soon", absl::Hours(5));
  Pass();
  CW_EXPECT_OK(TryPassFor("first"));
  ASSERT_THAT(orders_.created, SizeIs(2));
  for (std::size_t nth : {0, 1}) Place(nth);
  Pass();
  CW_EXPECT_OK(TryPassFor("first"));
  const auto late = TryPassFor("late");
  ASSERT_THAT(late, base::IsOk());
  EXPECT_EQ(ConditionOf(Read(stores_->requests, "late")), "False Queued");
  EXPECT_EQ(LimitOf("late"), "True OrdersPerAccount");
  EXPECT_EQ(
      LimitMessage("late").find("Waits for room in the limit on new orders of the account: "
                                "2 in 1m. It goes on at about "),
      0);
  EXPECT_THAT(LimitMessage("late"),
              HasSubstr("spec.acme.rateLimits.orders of Issuer web/ca changes the limit."));
  EXPECT_GT(late->requeue_after, absl::Seconds(29));
  EXPECT_LE(late->requeue_after, absl::Seconds(31));
  // It comes later, but goes first.
  EXPECT_EQ(StateOf("soon"), "False Queued");
  clock_.Advance(absl::Seconds(31));
  EXPECT_EQ(StateOf("late"), "False Queued");
  EXPECT_THAT(LimitMessage("late"), HasSubstr("1 go before"));
  EXPECT_EQ(StateOf("soon"), "False Pending");
  ASSERT_THAT(orders_.created, SizeIs(3));
  EXPECT_EQ(orders_.created[2].metadata().owner().name(), "soon");
  EXPECT_EQ(LimitOf("soon"), "");
  EXPECT_FALSE(Read(stores_->requests, "soon").status().has_retry_time());
}

TEST_F(RateLimitTest, ADeletedRequestLeavesItsPlaceInTheQueue) {
  CreateIssuer();
  LimitIssuer();
  for (const char* name : {"first", "second", "soon"}) CreateRenewal(name, absl::Hours(5));
  CreateRenewal("late", absl::Hours(50));
  for (const char* name : {"first", "second", "soon", "late"}) CW_EXPECT_OK(TryPassFor(name));
  for (std::size_t nth : {0, 1}) Place(nth);
  for (const char* name : {"first", "second"}) CW_EXPECT_OK(TryPassFor(name));
  CW_ASSERT_OK(Await(stores_->requests.MarkDeleted(Context(), "web", "soon")));
  CW_EXPECT_OK(TryPassFor("soon"));
  clock_.Advance(absl::Seconds(31));
  EXPECT_EQ(StateOf("late"), "False Pending");
}

TEST_F(RateLimitTest, ARequestGivenUpAfterItsOrderCountsAsIssuedAndOneWithoutDoesNot) {
  CreateIssuer();
  LimitIssuer(1);
  CreateFor("one", "a.example.com");
  CreateFor("two", "b.example.com");
  orders_.error = absl::UnavailableError("connection refused");
  EXPECT_FALSE(TryPassFor("one").ok());
  orders_.error = absl::OkStatus();
  CW_ASSERT_OK(Await(stores_->requests.MarkDeleted(Context(), "web", "one")));
  CW_EXPECT_OK(TryPassFor("one"));
  EXPECT_EQ(StateOf("two"), "False Pending");
  // Its order may still lead to a certificate, whoever follows it.
  CW_ASSERT_OK(Await(stores_->requests.MarkDeleted(Context(), "web", "two")));
  CW_EXPECT_OK(TryPassFor("two"));
  CreateFor("three", "c.example.com");
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(StateOf("three"), "False Queued");
  EXPECT_EQ(LimitOf("three"), "True CertificatesPerDomain");
}

TEST_F(RateLimitTest, AFailureToPlaceTheOrderCostsNoTurn) {
  CreateIssuer();
  LimitIssuer();
  CreateRenewal("other", absl::Hours(5));
  CW_EXPECT_OK(TryPassFor("other"));
  orders_.error = absl::UnavailableError("connection refused");
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(TryPass().ok());
  orders_.error = absl::OkStatus();
  CW_EXPECT_OK(TryPass());
  EXPECT_EQ(ConditionOf(Request()), "False Pending");
}

TEST_F(RateLimitTest, ARestartForgetsNothing) {
  CreateIssuer();
  LimitIssuer();
  for (const char* name : {"first", "second"}) CreateRenewal(name, absl::Hours(5));
  EXPECT_EQ(StateOf("first"), "False Pending");
  EXPECT_EQ(StateOf("second"), "False Pending");
  Place(0);
  CW_EXPECT_OK(TryPassFor("first"));
  CertificateRequestReconciler later{Environment(), *stores_, accounts_, orders_};
  CW_EXPECT_OK(Await(later.Reconcile(Context(), "web/site-1")));
  EXPECT_EQ(ConditionOf(Request()), "False Queued");
  clock_.Advance(absl::Seconds(31));
  // One order of the two is still to be placed.
  CW_EXPECT_OK(Await(later.Reconcile(Context(), "web/site-1")));
  EXPECT_EQ(ConditionOf(Request()), "False Pending");
  EXPECT_THAT(orders_.created, SizeIs(3));
}

TEST_F(RateLimitTest, OneDomainWaitsWhileOthersGoOn) {
  CreateIssuer();
  LimitIssuer(1);
  CreateFor("one", "a.example.com");
  CreateFor("two", "b.example.com");
  CreateFor("other", "b.example.org");
  EXPECT_EQ(StateOf("one"), "False Pending");
  EXPECT_EQ(StateOf("two"), "False Queued");
  EXPECT_EQ(LimitOf("two"), "True CertificatesPerDomain");
  EXPECT_THAT(LimitMessage("two"),
              HasSubstr("the limit on certificates for example.com: 1 in 168h."));
  EXPECT_EQ(StateOf("other"), "False Pending");
}

TEST_F(RateLimitTest, AnAdvisedRenewalIsExemptFromAllButFailures) {
  CreateIssuer();
  LimitIssuer(1);
  EXPECT_EQ(StateOf("site-1"), "False Pending");
  for (const char* name : {"advised", "late"}) {
    CreateRenewal(name, absl::Hours(5));
    issuer::v1::Certificate certificate =
        Read(stores_->certificates, absl::StrCat("of-", name));
    issuer::v1::RenewalInfo& info = *certificate.mutable_status()->mutable_renewal_info();
    const bool late = std::string(name) == "late";
    info.set_certificate_id("aki.serial");
    *info.mutable_window_start() = service::ToProto(clock_.Now() - absl::Hours(2));
    *info.mutable_window_end() =
        service::ToProto(clock_.Now() + (late ? -absl::Hours(1) : absl::Hours(1)));
    WriteStatus(stores_->certificates, certificate);
    CertificateRequest request = Read(stores_->requests, name);
    request.mutable_spec()->set_replaces("aki.serial");
    CW_ASSERT_OK(Await(stores_->requests.Update(Context(), request)));
  }
  EXPECT_EQ(StateOf("late"), "False Queued");
  EXPECT_EQ(StateOf("advised"), "False Pending");
}

TEST_F(RateLimitTest, ANameWithoutAttemptsWaitsWhileOthersGoOn) {
  CreateIssuer();
  LimitIssuer(100, 1);
  CreateFor("one", "a.example.com");
  CreateFor("same", "*.a.example.com");
  CreateFor("other", "b.example.com");
  EXPECT_EQ(StateOf("one"), "False Pending");
  FailValidation(0, "a.example.com");
  EXPECT_EQ(StateOf("one"), "False Failed");
  EXPECT_EQ(StateOf("same"), "False Queued");
  EXPECT_EQ(LimitOf("same"), "True FailedValidations");
  EXPECT_THAT(LimitMessage("same"), HasSubstr("failed validations of a.example.com: 1 in 1h"));
  EXPECT_EQ(StateOf("other"), "False Pending");
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(StateOf("same"), "False Pending");
}

TEST_F(RateLimitTest, OnlyWhatTheCaFoundWrongIsAFailedValidation) {
  CreateIssuer();
  LimitIssuer(100, 1, 100);
  struct Case {
    const char* why;
    const char* url;
    const char* type;
    const char* next;
  };
  int number = 0;
  for (const Case& test : {
           Case{"the CA has tried", "https://ca.test/order/1", "dns", "False Queued"},
           Case{"no order was placed", "", "dns", "False Pending"},
           Case{"the CA did not answer", "https://ca.test/order/1", "", "False Pending"},
       }) {
    ++number;
    const std::string dns_name = absl::StrCat("name-", number, ".example.com");
    const std::string first = absl::StrCat("first-", number);
    const std::string second = absl::StrCat("second-", number);
    CreateFor(first, dns_name);
    CreateFor(second, dns_name);
    ASSERT_EQ(StateOf(first), "False Pending") << test.why;
    order::v1::OrderStatus status;
    status.set_state(order::v1::ORDER_STATE_INVALID);
    status.set_url(test.url);
    order::v1::Failure& failure = *status.add_failures();
    failure.set_identifier(dns_name);
    failure.set_type(test.type);
    Report(status, orders_.created.size() - 1);
    EXPECT_EQ(StateOf(first), "False Failed") << test.why;
    EXPECT_EQ(StateOf(second), test.next) << test.why;
  }
}

// Fault 56.
TEST_F(RateLimitTest, TheCaClosesOnlyTheBucketThatItNames) {
  CreateIssuer();
  CreateFor("one", "a.example.com");
  CreateFor("two", "b.example.com");
  CreateFor("other", "b.example.org");
  EXPECT_EQ(StateOf("one"), "False Pending");
  Limit(0, "too many certificates (50) already issued for \"example.com\" in the last 168h0m0s",
        absl::Hours(3));
  EXPECT_EQ(StateOf("one"), "False RateLimited");
  EXPECT_EQ(LimitOf("one"), "True CertificatesPerDomain");
  const auto two = TryPassFor("two");
  ASSERT_THAT(two, base::IsOk());
  EXPECT_EQ(ConditionOf(Read(stores_->requests, "two")), "False Queued");
  EXPECT_EQ(two->requeue_after, absl::Hours(1));
  EXPECT_EQ(service::FromProto(Read(stores_->requests, "two").status().retry_time()),
            clock_.Now() + absl::Hours(3));
  EXPECT_THAT(LimitMessage("two"), HasSubstr("the CA takes no more"));
  EXPECT_EQ(StateOf("other"), "False Pending");
  clock_.Advance(absl::Hours(3));
  EXPECT_EQ(StateOf("two"), "False Pending");
  EXPECT_EQ(LimitOf("two"), "");
}

TEST_F(RateLimitTest, AnUnknownLimitClosesTheAccountsOrdersOnlyWhereOneWasToBePlaced) {
  CreateIssuer();
  CreateFor("one", "a.example.com");
  CreateFor("two", "b.example.com");
  CreateFor("three", "c.example.com");
  EXPECT_EQ(StateOf("one"), "False Pending");
  Place(0);
  order::v1::OrderStatus status =
      orders_.Find("web/" + orders_.created[0].metadata().name())->status();
  status.add_failures()->set_type("rateLimited");
  service::SetCondition(*status.mutable_conditions(), {"Ready", false, "RateLimited", "slow"},
                        1, clock_.Now());
  *status.mutable_retry_time() = service::ToProto(clock_.Now() + absl::Hours(1));
  Report(status, 0);
  EXPECT_EQ(StateOf("one"), "False RateLimited");
  EXPECT_EQ(LimitOf("one"), "True RateLimited");
  EXPECT_EQ(StateOf("two"), "False Pending");
  Limit(1, "slow down", absl::Hours(1));
  EXPECT_EQ(StateOf("two"), "False RateLimited");
  EXPECT_EQ(StateOf("three"), "False Queued");
  EXPECT_EQ(LimitOf("three"), "True OrdersPerAccount");
}

TEST_F(RateLimitTest, AFailedOrderWakesWhoWaitedForItsPlace) {
  std::vector<std::string> woken;
  CertificateRequestReconciler reconciler{
      Environment(), *stores_, accounts_,
      orders_,       {},       [&woken](const std::string& key) { woken.push_back(key); }};
  CreateIssuer();
  LimitIssuer(1);
  CreateFor("one", "a.example.com");
  CreateFor("two", "b.example.com");
  for (const char* key : {"web/one", "web/two"}) {
    CW_EXPECT_OK(Await(reconciler.Reconcile(Context(), key)));
  }
  FailValidation(0, "a.example.com");
  CW_EXPECT_OK(Await(reconciler.Reconcile(Context(), "web/one")));
  EXPECT_THAT(woken, ElementsAre("web/two"));
  CW_EXPECT_OK(Await(reconciler.Reconcile(Context(), "web/two")));
  EXPECT_EQ(ConditionOf(Read(stores_->requests, "two")), "False Pending");
}

// Fault 25.
TEST_F(RateLimitTest, APauseBecomesAConditionWithItsUrl) {
  CreateIssuer();
  Pass();
  order::v1::OrderStatus status;
  status.set_state(order::v1::ORDER_STATE_ERRORED);
  status.set_reason("rateLimited: paused");
  order::v1::Failure& failure = *status.add_failures();
  failure.set_type("rateLimited");
  failure.set_detail(
      "temporarily prevented. Please visit: https://ca.test/sfe/v1/unpause?jwt=x");
  Report(status);
  EXPECT_EQ(ConditionOf(Pass()), "False Failed");
  EXPECT_EQ(ConditionOf(Request(), "Paused"), "True IdentifierPaused");
  EXPECT_THAT(
      service::FindCondition(Request().status().conditions(), "Paused")->message(),
      HasSubstr("visit https://ca.test/sfe/v1/unpause?jwt=x and then call RenewCertificate"));
  // It says nothing about others.
  CreateFor("other", "b.example.com");
  EXPECT_EQ(StateOf("other"), "False Pending");
}

// Fault 109.
TEST_F(RateLimitTest, ARefusalByTheOrderServiceGivesTheTurnBack) {
  CreateIssuer();
  LimitIssuer();
  for (const char* name : {"r1", "r2", "r3"}) CreateRenewal(name, absl::Hours(1));
  orders_.error = absl::InvalidArgumentError("not like this");
  for (const char* name : {"site-1", "r1", "r2"}) {
    CW_ASSERT_OK(TryPassFor(name));
    EXPECT_EQ(ConditionOf(Read(stores_->requests, name)), "False Failed") << name;
  }
  orders_.error = absl::OkStatus();
  CW_ASSERT_OK(TryPassFor("r3"));
  EXPECT_EQ(ConditionOf(Read(stores_->requests, "r3")), "False Pending");
}

TEST(ExemptionOfTest, IsForWhatTheCaAdvisesNowAndForRenewals) {
  using issuer::v1::RenewalInfo;
  const absl::Time now = absl::FromUnixSeconds(1767323045);
  const absl::Duration second = absl::Seconds(1);
  issuer::v1::Certificate certificate;
  RenewalInfo& advice = *certificate.mutable_status()->mutable_renewal_info();
  advice.set_certificate_id("aki.serial");
  *advice.mutable_window_start() = service::ToProto(now - absl::Hours(1));
  *advice.mutable_window_end() = service::ToProto(now + absl::Hours(1));
  CertificateRequest request;
  request.mutable_spec()->set_replaces("aki.serial");
  (*request.mutable_metadata()->mutable_annotations())[kRenewsAnnotation] = "0a";
  struct Case {
    const char* why;
    std::function<void(CertificateRequest&, RenewalInfo&)> change;
    Exemption exemption;
  };
  const auto starts = [&](absl::Time time) {
    return [time](auto&, RenewalInfo& info) {
      *info.mutable_window_start() = service::ToProto(time);
    };
  };
  const auto ends = [&](absl::Time time) {
    return [time](auto&, RenewalInfo& info) {
      *info.mutable_window_end() = service::ToProto(time);
    };
  };
  const std::vector<Case> cases = {
      {"within the window", [](auto&, auto&) {}, Exemption::kAdvised},
      {"it begins now", starts(now), Exemption::kAdvised},
      {"it begins soon", starts(now + second), Exemption::kRenewal},
      {"it ends soon", ends(now + second), Exemption::kAdvised},
      {"it ends now", ends(now), Exemption::kRenewal},
      {"about another certificate",
       [](auto&, RenewalInfo& info) { info.set_certificate_id("aki.other"); },
       Exemption::kRenewal},
      {"about none",
       [](CertificateRequest& asked, RenewalInfo& info) {
         asked.mutable_spec()->clear_replaces();
         info.clear_certificate_id();
       },
       Exemption::kRenewal},
      {"no renewal",
       [&](CertificateRequest& asked, RenewalInfo& info) {
         ends(now)(asked, info);
         asked.mutable_metadata()->clear_annotations();
       },
       Exemption::kNone},
  };
  for (const Case& test : cases) {
    issuer::v1::Certificate owner = certificate;
    CertificateRequest asked = request;
    test.change(asked, *owner.mutable_status()->mutable_renewal_info());
    EXPECT_EQ(ExemptionOf(asked, &owner, now), test.exemption) << test.why;
    // What no Certificate owns renews none, whatever it says of itself.
    EXPECT_EQ(ExemptionOf(asked, nullptr, now), Exemption::kNone) << test.why;
  }
}

}  // namespace
}  // namespace certwright::issuer_service
