#include "services/issuer/limit_conditions.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/issuer/certificate_reconciler.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;

class LimitConditionsTest : public IssuerWorld {
 protected:
  LimitConditionsTest() {
    Certificate certificate;
    certificate.mutable_metadata()->set_namespace_("web");
    certificate.mutable_metadata()->set_name("site");
    certificate.mutable_spec()->set_secret_name("site-tls");
    certificate.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    certificate.mutable_spec()->add_dns_names("a.example");
    rpc::Violations violations;
    ValidateCertificate(certificate, violations);
    CW_EXPECT_OK(Await(stores_->certificates.Create(Context(), certificate)));
    Pass();
  }

  controller::Result Pass() {
    const auto result = Await(reconciler_.Reconcile(Context(), "web/site"));
    EXPECT_THAT(result, base::IsOk());
    return result.value_or(controller::Result());
  }
  Certificate Site() { return Read(stores_->certificates, "site"); }
  // What the reconciler of requests says about the one on its way.
  void Say(const service::ConditionUpdate& ready, const service::ConditionUpdate* more,
           absl::Duration retry_in = absl::ZeroDuration()) {
    CertificateRequest request =
        Read(stores_->requests, Site().status().certificate_request_name());
    auto& conditions = *request.mutable_status()->mutable_conditions();
    service::SetCondition(conditions, ready, 1, clock_.Now());
    for (const char* type : {"RateLimited", "Paused"}) {
      service::RemoveCondition(conditions, type);
    }
    if (more != nullptr) service::SetCondition(conditions, *more, 1, clock_.Now());
    request.mutable_status()->clear_retry_time();
    if (retry_in > absl::ZeroDuration()) {
      *request.mutable_status()->mutable_retry_time() =
          service::ToProto(clock_.Now() + retry_in);
    }
    WriteStatus(stores_->requests, request);
  }
  std::string MessageOf(const char* type) {
    const Certificate site = Site();
    const auto* condition = service::FindCondition(site.status().conditions(), type);
    return condition == nullptr ? "" : condition->message();
  }

  const service::ConditionUpdate queued_{"Ready", false, "Queued", "Waits for room."};
  const service::ConditionUpdate failed_{"Ready", false, "Failed", "The CA refused."};
  const service::ConditionUpdate limited_{"RateLimited", true, "CertificatesPerDomain",
                                          "Waits for room."};
  const service::ConditionUpdate paused_{"Paused", true, "IdentifierPaused",
                                         "Visit https://ca.test/sfe/v1/unpause?jwt=x."};
  CertificateRequests requests_;
  SecretUsers secret_users_;
  PrivateCas private_cas_{nullptr, nullptr};
  CertificateReconciler reconciler_{Environment(), *stores_, requests_, secret_users_,
                                    private_cas_};
};

TEST_F(LimitConditionsTest, ACertificateThatWaitsForALimitSaysForWhichAndUntilWhen) {
  Say(queued_, &limited_, absl::Hours(3));
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "RateLimited"), "True CertificatesPerDomain");
  EXPECT_EQ(MessageOf("RateLimited"), "Waits for room.");
  EXPECT_EQ(ConditionOf(Site(), "Issuing"), "True DoesNotExist");
  EXPECT_EQ(service::FromProto(Site().status().next_attempt_time()),
            clock_.Now() + absl::Hours(3));
  Say({"Ready", false, "Pending", "On its way."}, nullptr);
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "RateLimited"), "");
  EXPECT_FALSE(Site().status().has_next_attempt_time());
}

// Fault 25.
TEST_F(LimitConditionsTest, APausedCertificateIsTriedOnceADayOrWhenAsked) {
  Say(failed_, &paused_);
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "Paused"), "True IdentifierPaused");
  EXPECT_EQ(MessageOf("Paused"), paused_.message);
  EXPECT_EQ(ConditionOf(Site(), "Issuing"), "False Failed");
  EXPECT_EQ(service::FromProto(Site().status().next_attempt_time()),
            clock_.Now() + absl::Hours(24));
  clock_.Advance(absl::Hours(23));
  EXPECT_EQ(Pass().requeue_after, absl::Hours(1));
  EXPECT_EQ(Site().status().certificate_request_name(), "");
  // As RenewCertificate does.
  Certificate site = Site();
  service::SetCondition(*site.mutable_status()->mutable_conditions(),
                        {"Issuing", true, "ManuallyTriggered", ""}, 1, clock_.Now());
  WriteStatus(stores_->certificates, site);
  Pass();
  EXPECT_THAT(Site().status().certificate_request_name(), testing::StartsWith("site-1-"));
  EXPECT_EQ(ConditionOf(Site(), "Paused"), "True IdentifierPaused");
  // The CA takes orders again, though this one fails.
  Say(failed_, nullptr);
  Pass();
  EXPECT_EQ(ConditionOf(Site(), "Paused"), "");
  EXPECT_LT(service::FromProto(Site().status().next_attempt_time()),
            clock_.Now() + absl::Hours(1));
}

}  // namespace
}  // namespace certwright::issuer_service
