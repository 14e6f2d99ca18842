#include "services/issuer/issuer_events.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/service/conditions.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using issuer::v1::Issuer;
using testing::ElementsAre;
using testing::IsEmpty;

// "Warning Failed: The CA said no."
std::vector<std::string> Texts(const std::vector<service::EventNews>& events) {
  std::vector<std::string> texts;
  for (const service::EventNews& event : events) {
    const bool warning = event.severity == meta::v1::EVENT_SEVERITY_WARNING;
    texts.push_back((warning ? "Warning " : "Normal ") + event.reason + ": " + event.message);
  }
  return texts;
}

template <typename T>
void Set(T& resource, const std::string& type, bool status, const std::string& reason,
         const std::string& message) {
  service::SetCondition(*resource.mutable_status()->mutable_conditions(),
                        {type, status, reason, message}, 1, absl::UnixEpoch());
}

TEST(CertificateEventsTest, TellWhichLimitOrPauseOfTheCaIsWaitedForOnce) {
  const Certificate before;
  Certificate now;
  Set(now, "RateLimited", true, "OrdersPerAccount", "Waits for room.");
  Set(now, "Paused", true, "IdentifierPaused", "Visit the CA.");
  EXPECT_THAT(Texts(EventsOf(&before, now)), ElementsAre("Warning RateLimited: Waits for room.",
                                                         "Warning Paused: Visit the CA."));
  Certificate later = now;
  Set(later, "RateLimited", true, "OrdersPerAccount", "Still waits.");
  EXPECT_THAT(EventsOf(&now, later), IsEmpty());
}

TEST(CertificateEventsTest, TellAnIssuanceFromBeginToEnd) {
  Certificate before;
  Certificate now = before;
  EXPECT_THAT(EventsOf(nullptr, now), IsEmpty());
  Set(now, "Issuing", true, "DoesNotExist", "The Secret x does not exist.");
  Set(now, "Ready", false, "DoesNotExist", "The Secret x does not exist.");
  now.mutable_status()->set_certificate_request_name("site-1");
  EXPECT_THAT(Texts(EventsOf(&before, now)),
              ElementsAre("Normal Issuing: DoesNotExist: The Secret x does not exist.",
                          "Normal Requested: The CertificateRequest site-1 was made."));
  before = now;
  EXPECT_THAT(EventsOf(&before, now), IsEmpty());
  service::RemoveCondition(*now.mutable_status()->mutable_conditions(), "Issuing");
  Set(now, "Ready", true, "Ready", "The certificate is up to date.");
  now.mutable_status()->clear_certificate_request_name();
  now.mutable_status()->set_revision(1);
  now.mutable_status()->mutable_not_after()->set_seconds(86400);
  now.mutable_status()->mutable_renewal_time()->set_seconds(3600);
  EXPECT_THAT(
      Texts(EventsOf(&before, now)),
      ElementsAre("Normal Issued: The certificate of revision 1 was issued, valid until "
                  "1970-01-02T00:00:00Z, to be renewed at 1970-01-01T01:00:00Z.",
                  "Normal Ready: The certificate is up to date."));
}

TEST(CertificateEventsTest, EachFailureIsAWarning) {
  Certificate before;
  Set(before, "Issuing", true, "DoesNotExist", "");
  before.mutable_status()->set_certificate_request_name("site-1");
  Certificate now = before;
  Set(now, "Issuing", false, "Failed", "The CA said no.");
  now.mutable_status()->set_failed_issuance_attempts(1);
  now.mutable_status()->clear_certificate_request_name();
  EXPECT_THAT(Texts(EventsOf(&before, now)), ElementsAre("Warning Failed: The CA said no."));
  before = now;
  now.mutable_status()->set_failed_issuance_attempts(2);
  EXPECT_THAT(Texts(EventsOf(&before, now)), ElementsAre("Warning Failed: The CA said no."));
}

TEST(CertificateEventsTest, WhatNeedsAttentionIsAWarning) {
  Certificate before;
  Set(before, "Ready", true, "Ready", "");
  Certificate now = before;
  Set(now, "Ready", false, "Expired", "It has expired.");
  EXPECT_THAT(Texts(EventsOf(&before, now)), ElementsAre("Warning Expired: It has expired."));
  before = now;
  Set(now, "Ready", false, "NoSolver", "No solver fits.");
  EXPECT_THAT(Texts(EventsOf(&before, now)), ElementsAre("Warning NoSolver: No solver fits."));
  before = now;
  Set(now, "Ready", false, "Pending", "In the queue.");
  EXPECT_THAT(EventsOf(&before, now), IsEmpty());
}

TEST(CertificateEventsTest, TellOfOutagesAndRevocationsOnce) {
  const Certificate before;
  Certificate now = before;
  now.mutable_metadata()->set_namespace_("web");
  issuer::v1::IssuerOutage& outage = *now.mutable_status()->add_issuer_outages();
  outage.mutable_issuer_ref()->set_name("ca");
  outage.mutable_until()->set_seconds(60);
  outage.set_reason("It does not answer.");
  now.mutable_status()->mutable_revocation()->set_serial_number("0A");
  EXPECT_THAT(
      Texts(EventsOf(&before, now)),
      ElementsAre("Warning IssuerPassedOver: Issuer web/ca is passed over until "
                  "1970-01-01T00:01:00Z: It does not answer.",
                  "Warning Revoked: The certificate with serial number 0A was revoked."));
  EXPECT_THAT(EventsOf(&now, now), IsEmpty());
}

TEST(CertificateRequestEventsTest, TellARequestFromBeginToEnd) {
  CertificateRequest before;
  CertificateRequest now = before;
  Set(now, "Ready", false, "Pending", "It waits for approval.");
  EXPECT_THAT(Texts(EventsOf(&before, now)),
              ElementsAre("Normal Pending: It waits for approval."));
  before = now;
  Set(now, "Approved", true, "ApprovedByUser", "Fine with me.");
  now.mutable_status()->set_order_name("order-1");
  Set(now, "Ready", false, "Pending", "1 of 2 challenges is not valid yet.");
  EXPECT_THAT(Texts(EventsOf(&before, now)),
              ElementsAre("Normal Approved: ApprovedByUser: Fine with me.",
                          "Normal OrderCreated: The Order order-1 was made."));
  before = now;
  Set(now, "Ready", true, "Issued", "The certificate was issued.");
  EXPECT_THAT(Texts(EventsOf(&before, now)),
              ElementsAre("Normal Issued: The certificate was issued."));
}

TEST(CertificateRequestEventsTest, FailuresAndDenialsAreWarnings) {
  const CertificateRequest before;
  CertificateRequest denied;
  Set(denied, "Denied", true, "Policy", "No rule allows it.");
  Set(denied, "Ready", false, "Denied", "The request was denied: No rule allows it.");
  EXPECT_THAT(Texts(EventsOf(&before, denied)),
              ElementsAre("Warning Denied: Policy: No rule allows it."));
  CertificateRequest failed;
  failed.mutable_status()->set_order_name("order-1");
  Set(failed, "Ready", false, "Failed", "The CA said no.");
  EXPECT_THAT(Texts(EventsOf(nullptr, failed)),
              ElementsAre("Normal OrderCreated: The Order order-1 was made.",
                          "Warning Failed: The CA said no."));
  CertificateRequest waiting;
  Set(waiting, "Ready", false, "IssuerNotFound", "Issuer web/ca does not exist.");
  EXPECT_THAT(Texts(EventsOf(&before, waiting)),
              ElementsAre("Warning IssuerNotFound: Issuer web/ca does not exist."));
}

TEST(IssuerEventsTest, TellOfReadiness) {
  Issuer before;
  Issuer now;
  Set(now, "Ready", false, "ErrRegisterACMEAccount", "The CA said no.");
  EXPECT_THAT(Texts(EventsOf(&before, now)),
              ElementsAre("Warning ErrRegisterACMEAccount: The CA said no."));
  before = now;
  Set(now, "Ready", true, "ACMEAccountRegistered", "The account is there.");
  EXPECT_THAT(Texts(EventsOf(&before, now)),
              ElementsAre("Normal ACMEAccountRegistered: The account is there."));
  EXPECT_THAT(EventsOf(&now, now), IsEmpty());
  before = now;
  Set(now, "AccountKeyRolledOver", false, "Refused", "The account keeps its key.");
  EXPECT_THAT(Texts(EventsOf(&before, now)),
              ElementsAre("Warning AccountKeyRolledOver: The account keeps its key."));
}

}  // namespace
}  // namespace certwright::issuer_service
