#include "services/issuer/renewal_info_reconciler.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/problem.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::RenewalInfo;
using testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1767323045);
constexpr absl::Duration kHour = absl::Hours(1);

acme::RenewalInfo Answer(absl::Duration start, absl::Duration end) {
  acme::RenewalInfo answer;
  answer.window_start = kNow + start;
  answer.window_end = kNow + end;
  return answer;
}

absl::Duration In(const google::protobuf::Timestamp& time) {
  return service::FromProto(time) - kNow;
}

TEST(AdoptRenewalInfoTest, KeepsTheMomentUntilTheWindowChanges) {
  base::FixedRandom random(0.25);
  const RenewalInfo first =
      AdoptRenewalInfo(RenewalInfo(), Answer(100 * kHour, 200 * kHour), kNow, random);
  EXPECT_EQ(In(first.selected_time()), 125 * kHour);
  EXPECT_EQ(In(first.suggested_time()), absl::ZeroDuration());
  EXPECT_EQ(In(first.last_checked()), absl::ZeroDuration());
  EXPECT_EQ(In(first.next_check()), 6 * kHour);

  base::FixedRandom other(0.75);
  const RenewalInfo same =
      AdoptRenewalInfo(first, Answer(100 * kHour, 200 * kHour), kNow + kHour, other);
  EXPECT_EQ(In(same.selected_time()), 125 * kHour);
  EXPECT_EQ(In(same.suggested_time()), absl::ZeroDuration());
  const RenewalInfo changed =
      AdoptRenewalInfo(same, Answer(-200 * kHour, -100 * kHour), kNow + kHour, other);
  EXPECT_EQ(In(changed.selected_time()), -125 * kHour);
  EXPECT_EQ(In(changed.suggested_time()), kHour);
}

TEST(AdoptRenewalInfoTest, EitherEndMakesAnotherWindow) {
  base::FixedRandom random(0.25);
  const RenewalInfo first =
      AdoptRenewalInfo(RenewalInfo(), Answer(100 * kHour, 200 * kHour), kNow, random);
  const RenewalInfo later_end =
      AdoptRenewalInfo(first, Answer(100 * kHour, 300 * kHour), kNow + kHour, random);
  EXPECT_EQ(In(later_end.selected_time()), 150 * kHour);
  EXPECT_EQ(In(later_end.suggested_time()), kHour);
  const RenewalInfo earlier_start =
      AdoptRenewalInfo(first, Answer(0 * kHour, 200 * kHour), kNow + kHour, random);
  EXPECT_EQ(In(earlier_start.selected_time()), 50 * kHour);
  EXPECT_EQ(In(earlier_start.suggested_time()), kHour);
}

TEST(AdoptRenewalInfoTest, AfterAnErrorAsksWhenTheCaSaysOrRarelyWhereThatIsUseless) {
  base::FixedRandom random;
  const auto error = [](int http_status, std::optional<absl::Time> retry_at) {
    return acme::ProblemStatus(http_status, acme::Problem(), retry_at, kNow);
  };
  const std::vector<std::pair<absl::Status, absl::Duration>> cases = {
      {error(503, kNow + absl::Seconds(1)), absl::Minutes(1)},
      {error(503, kNow + 2 * kHour), 2 * kHour},
      {error(503, kNow + 99 * kHour), 24 * kHour},
      {error(503, std::nullopt), absl::Minutes(5)},
      {error(404, std::nullopt), 24 * kHour},
  };
  for (const auto& [status, wait] : cases) {
    const absl::StatusOr<acme::RenewalInfo> answer = status;
    EXPECT_EQ(In(AdoptRenewalInfo(RenewalInfo(), answer, kNow, random).next_check()), wait)
        << status;
  }
}

// Fault 97.
TEST(AdoptRenewalInfoTest, AsksAgainWhenTheCaSaysWithinReason) {
  base::FixedRandom random;
  for (const auto& [asked, given] : std::vector<std::pair<absl::Duration, absl::Duration>>{
           {absl::Seconds(1), absl::Minutes(1)},
           {2 * kHour, 2 * kHour},
           {99 * kHour, 24 * kHour}}) {
    acme::RenewalInfo answer = Answer(100 * kHour, 200 * kHour);
    answer.retry_at = kNow + asked;
    EXPECT_EQ(In(AdoptRenewalInfo(RenewalInfo(), answer, kNow, random).next_check()), given);
  }
}

// Fault 97.
TEST(AdoptRenewalInfoTest, KeepsTheAdviceOverErrorsAndAsksLessAndLessOften) {
  base::FixedRandom random;
  RenewalInfo info =
      AdoptRenewalInfo(RenewalInfo(), Answer(100 * kHour, 200 * kHour), kNow, random);
  absl::Time now = kNow;
  const absl::StatusOr<acme::RenewalInfo> error = absl::UnavailableError("no route");
  for (const absl::Duration wait :
       {absl::Minutes(5), absl::Minutes(10), absl::Minutes(20), absl::Minutes(40),
        absl::Minutes(80), absl::Minutes(160), absl::Minutes(320), 6 * kHour, 6 * kHour}) {
    info = AdoptRenewalInfo(info, error, now, random);
    EXPECT_EQ(service::FromProto(info.next_check()) - now, wait);
    EXPECT_EQ(In(info.selected_time()), 150 * kHour);
    EXPECT_EQ(info.last_error(), "no route");
    now += wait;
  }
  info = AdoptRenewalInfo(info, Answer(100 * kHour, 200 * kHour), now, random);
  EXPECT_EQ(info.last_error(), "");
}

class RenewalInfoReconcilerTest : public IssuerWorld {
 protected:
  RenewalInfoReconcilerTest() {
    CreateRegisteredIssuer(*pki::PrivateKey::Generate(pki::KeySpec()));
    Certificate certificate;
    certificate.mutable_metadata()->set_namespace_("web");
    certificate.mutable_metadata()->set_name("site");
    certificate.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    CW_EXPECT_OK(Await(stores_->certificates.Create(Context(), certificate)));
    certificate = Read(stores_->certificates, "site");
    certificate.mutable_status()->mutable_renewal_info()->set_certificate_id("aki.serial");
    *certificate.mutable_status()->mutable_renewal_info()->mutable_next_check() =
        service::ToProto(clock_.Now() + absl::Seconds(30));
    WriteStatus(stores_->certificates, certificate);
  }
  void Serve(const std::string& directory) {
    http_.On("GET", "https://ca.test/directory")
        .Reply(200, absl::StrCat(R"({"newNonce":"https://ca.test/nonce",
            "newAccount":"https://ca.test/account","newOrder":"https://ca.test/order",
            "revokeCert":"https://ca.test/revoke","keyChange":"https://ca.test/key")",
                                 directory, "}"));
  }
  void ServeWindow() {
    Serve(R"(,"renewalInfo":"https://ca.test/ari")");
    http_.On("GET", "https://ca.test/ari/aki.serial")
        .Reply(200, R"({"suggestedWindow":{"start":"2026-02-01T00:00:00Z",
            "end":"2026-02-02T00:00:00Z"},"explanationURL":"https://ca.test/why"})",
               {{"Retry-After", "7200"}});
  }
  controller::Result Pass() {
    const auto result = Await(reconciler_.Reconcile(Context(), "web/site"));
    EXPECT_THAT(result, base::IsOk());
    return result.value_or(controller::Result());
  }
  RenewalInfo Info() { return Read(stores_->certificates, "site").status().renewal_info(); }

  Accounts accounts_{Environment(), *stores_, "certwright"};
  RenewalInfoReconciler reconciler_{Environment(), *stores_, accounts_};
};

TEST_F(RenewalInfoReconcilerTest, AsksWhenItIsTimeAndNotBefore) {
  ServeWindow();
  EXPECT_EQ(Pass().requeue_after, absl::Seconds(30));
  EXPECT_FALSE(Info().has_window_start());
  clock_.Advance(absl::Seconds(30));
  EXPECT_EQ(Pass().requeue_after, absl::Hours(2));
  const RenewalInfo info = Info();
  EXPECT_EQ(info.explanation_url(), "https://ca.test/why");
  EXPECT_EQ(service::FromProto(info.window_end()) - service::FromProto(info.window_start()),
            absl::Hours(24));
  EXPECT_GE(service::FromProto(info.selected_time()), service::FromProto(info.window_start()));
  EXPECT_LE(service::FromProto(info.selected_time()), service::FromProto(info.window_end()));
  EXPECT_EQ(Pass().requeue_after, absl::Hours(2));
}

// Fault 97.
TEST_F(RenewalInfoReconcilerTest, AnExpiredCertificateIsNotAskedAbout) {
  ServeWindow();
  Certificate certificate = Read(stores_->certificates, "site");
  *certificate.mutable_status()->mutable_not_after() =
      service::ToProto(clock_.Now() + absl::Hours(1));
  WriteStatus(stores_->certificates, certificate);
  clock_.Advance(absl::Minutes(59));
  EXPECT_EQ(Pass().requeue_after, absl::Hours(2));
  const std::size_t asked = http_.requests().size();
  clock_.Advance(absl::Hours(2));
  EXPECT_EQ(Pass().requeue_after, std::nullopt);
  EXPECT_EQ(http_.requests().size(), asked);
}

TEST_F(RenewalInfoReconcilerTest, AClockThatIsSetBackPutsNoQuestionOff) {
  ServeWindow();
  clock_.Advance(absl::Minutes(1));
  Pass();
  const std::size_t asked = http_.requests().size();
  clock_.StepWall(-absl::Hours(48));
  Pass();
  EXPECT_GT(http_.requests().size(), asked);
  EXPECT_EQ(service::FromProto(Info().last_checked()), clock_.Now());
}

TEST_F(RenewalInfoReconcilerTest, OnlyTheCaThatIssuedItIsAsked) {
  ServeWindow();
  Certificate certificate = Read(stores_->certificates, "site");
  certificate.mutable_status()->mutable_issuer_in_use()->set_name("gone");
  WriteStatus(stores_->certificates, certificate);
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(Pass().requeue_after, std::nullopt);
  EXPECT_EQ(http_.requests().size(), 0u);
  EXPECT_FALSE(Info().has_next_check());
}

TEST_F(RenewalInfoReconcilerTest, SaysWhatWentWrong) {
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(Pass().requeue_after, absl::Minutes(5));
  EXPECT_THAT(Info().last_error(), testing::Not(testing::IsEmpty()));
}

TEST_F(RenewalInfoReconcilerTest, ACaWithoutRenewalInformationIsNoError) {
  Serve("");
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(Pass().requeue_after, absl::Hours(24));
  EXPECT_EQ(Info().last_error(), "");
  EXPECT_FALSE(Info().has_window_start());
}

TEST_F(RenewalInfoReconcilerTest, AnIssuerThatDoesNotWantAdviceHasNone) {
  ServeWindow();
  clock_.Advance(absl::Minutes(1));
  Pass();
  issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
  issuer.mutable_spec()->mutable_acme()->set_renewal_information(
      issuer::v1::RENEWAL_INFORMATION_NONE);
  CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  clock_.Advance(absl::Hours(2));
  EXPECT_EQ(Pass().requeue_after, std::nullopt);
  EXPECT_EQ(Info().certificate_id(), "aki.serial");
  EXPECT_FALSE(Info().has_selected_time());
  EXPECT_FALSE(Info().has_next_check());
}

TEST_F(RenewalInfoReconcilerTest, AnAnswerAboutAReplacedCertificateIsDropped) {
  Serve(R"(,"renewalInfo":"https://ca.test/ari")");
  http_.On("GET", "https://ca.test/ari/aki.serial")
      .Call([this](const http::HttpRequest&) -> absl::StatusOr<http::HttpResponse> {
        Certificate certificate = Read(stores_->certificates, "site");
        certificate.mutable_status()->mutable_renewal_info()->set_certificate_id("aki.next");
        WriteStatus(stores_->certificates, certificate);
        http::HttpResponse response;
        response.status = 200;
        response.body = R"({"suggestedWindow":{"start":"2026-02-01T00:00:00Z",
            "end":"2026-02-02T00:00:00Z"}})";
        return response;
      });
  clock_.Advance(absl::Minutes(1));
  Pass();
  EXPECT_EQ(Info().certificate_id(), "aki.next");
  EXPECT_FALSE(Info().has_window_start());
}

TEST_F(RenewalInfoReconcilerTest, ADeletedCertificateIsNotAskedAbout) {
  CW_ASSERT_OK(Await(stores_->certificates.Delete(Context(), "web", "site")));
  EXPECT_EQ(Pass().requeue_after, std::nullopt);
}

}  // namespace
}  // namespace certwright::issuer_service
