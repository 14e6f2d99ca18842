// What OrderReconciler does when an order cannot be had, or not now.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/order/order_reconciler_fixture.h"

namespace certwright::order {
namespace {

using controller::Result;
using solver::v1::CHALLENGE_STATE_EXPIRED;
using solver::v1::CHALLENGE_STATE_INVALID;
using solver::v1::CHALLENGE_STATE_VALID;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class OrderFailuresTest : public OrderReconcilerFixture {
 protected:
  // "Reason: message" of the Ready condition; empty if there is none.
  std::string ReadyOf(const std::string& name) {
    const v1::Order order = Read(name);
    const auto* ready = service::FindCondition(order.status().conditions(), "Ready");
    return ready == nullptr ? "" : absl::StrCat(ready->reason(), ": ", ready->message());
  }
};

// Fault 48.
TEST_F(OrderFailuresTest, ARefusedNameFailsTheOrderWithTheCasReason) {
  Create({"a.test", "b.test", "c.test"});
  Pass();
  ca_->Refuse(AuthorizationOf("b.test"), "dns", "no such record");
  challenges_.Set("a.test", CHALLENGE_STATE_VALID);
  challenges_.Set("b.test", CHALLENGE_STATE_INVALID);
  Pass();
  const v1::Order order = Read();
  EXPECT_EQ(order.status().state(), v1::ORDER_STATE_INVALID);
  ASSERT_THAT(order.status().failures(), SizeIs(1));
  EXPECT_EQ(order.status().failures(0).identifier(), "b.test");
  EXPECT_EQ(order.status().failures(0).type(), "dns");
  EXPECT_THAT(order.status().reason(), HasSubstr("b.test (dns): no such record"));
  EXPECT_TRUE(order.status().has_failure_time());
  EXPECT_EQ(Ready().reason(), "Failed");
  EXPECT_THAT(ca_->deactivated, ElementsAre(AuthorizationOf("c.test")));
  EXPECT_THAT(challenges_.deleted, SizeIs(1)) << "the one of c.test, which was still open";
  EXPECT_THAT(finished_, ElementsAre(v1::ORDER_STATE_INVALID));
}

TEST_F(OrderFailuresTest, AChallengeOutOfTimeExpiresTheOrderWithTheSolversReason) {
  Create({"a.test"});
  Pass();
  challenges_.Set("a.test", CHALLENGE_STATE_EXPIRED, "ns.a.test never had the record");
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_EXPIRED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("a.test: ns.a.test never had the record"));
  EXPECT_THAT(ca_->deactivated, ElementsAre(AuthorizationOf("a.test")));
}

// Faults 49 and 90.
TEST_F(OrderFailuresTest, ExpiresWithTheCasOrder) {
  Create({"a.test"});
  const Result waiting = Pass();
  clock_.Advance(*waiting.requeue_after);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_EXPIRED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("not completed in time: 1 of 1"));
  EXPECT_THAT(challenges_.challenges, IsEmpty());
}

// Fault 119.
TEST_F(OrderFailuresTest, AnOrderThatEndedBeforeItWasPlacedNamesTheClock) {
  for (const absl::Duration ago :
       {absl::ZeroDuration(), absl::Hours(24 * 3), absl::Hours(9000)}) {
    for (const bool ready : {false, true}) {
      const std::string name = absl::StrCat("o", absl::ToInt64Hours(ago), ready ? "r" : "p");
      ca_->expires = clock_.Now() - ago;
      ca_->born_ready = ready;
      Create({name + ".test"}, name);
      Pass(name);
      const v1::Order order = Read(name);
      EXPECT_EQ(order.status().state(), v1::ORDER_STATE_EXPIRED);
      EXPECT_THAT(
          order.status().reason(),
          AllOf(HasSubstr("ended at " + absl::FormatTime(absl::RFC3339_sec, ca_->expires,
                                                         absl::UTCTimeZone())),
                HasSubstr("check this machine's clock")));
      const auto* condition = service::FindCondition(order.status().conditions(), "Ready");
      ASSERT_NE(condition, nullptr);
      EXPECT_THAT(condition->message(), HasSubstr("check this machine's clock"));
    }
  }
}

TEST_F(OrderFailuresTest, WithoutASolverItSaysSoAndTakesTheOneThatComes) {
  ca_->settings.clear_solvers();
  auto& web = *ca_->settings.add_solvers();
  web.set_name("web");
  web.mutable_http01();
  Create({"a.test", "*.b.test"});
  Pass();
  EXPECT_EQ(Ready().reason(), "NoSolver");
  EXPECT_THAT(Ready().message(), HasSubstr("*.b.test"));
  EXPECT_THAT(Ready().message(), HasSubstr("web (http-01 cannot prove wildcards"));
  EXPECT_THAT(challenges_.challenges, IsEmpty()) << "nothing is shown for a lost order";
  auto& dns = *ca_->settings.add_solvers();
  dns.set_name("dns");
  dns.mutable_dns01();
  Pass();
  EXPECT_THAT(challenges_.challenges, SizeIs(2));
  EXPECT_EQ(Ready().reason(), "Pending");
}

// Fault 43.
TEST_F(OrderFailuresTest, ANameWithoutAChallengeThatASolverServesIsNamed) {
  for (const std::vector<std::string>& offered :
       {std::vector<std::string>{"carrier-pigeon-01"}, std::vector<std::string>{}}) {
    ca_->offered = offered;
    const std::string name = offered.empty() ? "none" : "unknown";
    Create({name + ".test"}, name);
    Pass(name);
    const v1::Order order = Read(name);
    const auto* ready = service::FindCondition(order.status().conditions(), "Ready");
    ASSERT_NE(ready, nullptr);
    EXPECT_EQ(ready->reason(), "NoSolver");
    EXPECT_THAT(ready->message(), HasSubstr(name + ".test"));
  }
  EXPECT_EQ(challenges_.creations, 0);
}

TEST_F(OrderFailuresTest, ACaThatSaysTooMuchFailsTheOrderOnce) {
  ca_->offered.assign(1000, std::string(2000, 'x'));
  Create({"a.test"});
  const auto pass = TryPass();
  ASSERT_TRUE(pass.has_value());
  EXPECT_THAT(*pass, base::StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(State(), v1::ORDER_STATE_ERRORED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("too much to be kept"));
  Pass();
  EXPECT_EQ(ca_->Count("NewOrder"), 1);
}

// Fault 45.
TEST_F(OrderFailuresTest, ACaThatWantsNoNameBesideItsWildcardIsQuotedAndNotAskedAgain) {
  ca_->FailNext("NewOrder", FakeAuthority::Problem(400, "malformed",
                                                   "www.b.test is redundant with *.b.test"));
  Create({"*.b.test", "www.b.test"});
  Pass();
  EXPECT_THAT(ca_->last_request.identifiers, SizeIs(2)) << "other CAs issue both";
  EXPECT_EQ(State(), v1::ORDER_STATE_ERRORED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("www.b.test is redundant"));
  Pass();
  EXPECT_EQ(ca_->Count("NewOrder"), 1);
}

TEST_F(OrderFailuresTest, WaitsForAnIssuerThatAppearsLater) {
  authorities_.unavailable = absl::NotFoundError("Issuer default/ca does not exist");
  Create({"a.test"});
  Pass();
  EXPECT_EQ(Ready().reason(), "IssuerNotFound");
  EXPECT_EQ(Ready().message(), "Issuer default/ca does not exist.");
  authorities_.unavailable = absl::FailedPreconditionError("Issuer default/ca is not ready");
  Pass();
  EXPECT_EQ(Ready().reason(), "IssuerNotReady");
  EXPECT_THAT(ca_->calls, IsEmpty());
  authorities_.unavailable = absl::OkStatus();
  Pass();
  Prove();
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
}

TEST_F(OrderFailuresTest, LooksAgainForAnIssuerServiceThatWasNotReached) {
  authorities_.unavailable = absl::UnavailableError("not reached");
  Create({"a.test"});
  EXPECT_EQ(Pass().requeue_after, absl::Seconds(5));
  EXPECT_EQ(Ready().reason(), "IssuerNotReady");
}

// Fault 24.
TEST_F(OrderFailuresTest, ARateLimitParksTheOrderUntilItsTime) {
  const absl::Time when = clock_.Now() + absl::Hours(3);
  ca_->FailNext("NewOrder", FakeAuthority::Problem(429, "rateLimited", "too many", when));
  Create({"a.test"});
  EXPECT_EQ(Pass().requeue_after, absl::Hours(3));
  EXPECT_EQ(Ready().reason(), "RateLimited");
  // So that the issuer service knows which limit it is.
  ASSERT_THAT(Read().status().failures(), SizeIs(1));
  EXPECT_EQ(Read().status().failures(0).type(), "rateLimited");
  EXPECT_EQ(Read().status().failures(0).detail(), "too many");
  EXPECT_EQ(service::FromProto(Read().status().retry_time()), when);
  Restart();
  Pass();
  EXPECT_EQ(ca_->Count("NewOrder"), 1);
  clock_.Advance(absl::Hours(3));
  Pass();
  EXPECT_EQ(ca_->Count("NewOrder"), 2);
  EXPECT_FALSE(Read().status().has_retry_time());
  EXPECT_THAT(Read().status().failures(), IsEmpty());
}

// Fault 25.
TEST_F(OrderFailuresTest, APausedAccountFailsTheOrderWithTheUrlThatEndsIt) {
  const char* detail = "paused, visit https://ca.test/sfe/v1/unpause?jwt=x";
  ca_->FailNext("NewOrder", FakeAuthority::Problem(429, "rateLimited", detail));
  Create({"a.test"});
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_ERRORED);
  ASSERT_THAT(Read().status().failures(), SizeIs(1));
  EXPECT_EQ(Read().status().failures(0).detail(), detail);
}

// Fault 91.
TEST_F(OrderFailuresTest, KeepsToTheWaitWhenTheClockIsSetBackADay) {
  ca_->FailNext("NewOrder", FakeAuthority::Problem(429, "rateLimited", "too many",
                                                   clock_.Now() + absl::Hours(3)));
  Create({"a.test"});
  Pass();
  clock_.StepWall(-absl::Hours(24));
  EXPECT_EQ(Pass().requeue_after, absl::Hours(3));
  clock_.Advance(absl::Hours(3));
  Pass();
  EXPECT_EQ(ca_->Count("NewOrder"), 2);
}

// Fault 91.
TEST_F(OrderFailuresTest, AfterARestartNoWaitCountsThatWasNotedUnderAClockOfTomorrow) {
  ca_->FailNext("NewOrder", FakeAuthority::Problem(429, "rateLimited", "too many",
                                                   clock_.Now() + absl::Hours(3)));
  Create({"a.test"});
  Pass();
  clock_.StepWall(-absl::Hours(24));
  Restart();
  Pass();
  EXPECT_EQ(ca_->Count("NewOrder"), 2);
}

// Fault 91.
TEST_F(OrderFailuresTest, AfterARestartNoPollIsWaitedForThatWasNotedUnderAClockOfTomorrow) {
  ca_->processing_polls = 2;
  Create({"a.test"});
  Pass();
  Prove();
  ca_->retry_at = clock_.Now() + absl::Hours(3);
  Pass();
  ASSERT_TRUE(Read().status().has_next_check_time());
  clock_.StepWall(-absl::Hours(24));
  Restart();
  const int asked = ca_->Count("GetOrder");
  ca_->retry_at = std::nullopt;
  Pass();
  EXPECT_EQ(ca_->Count("GetOrder"), asked + 1);
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
}

// Fault 91.
TEST_F(OrderFailuresTest, PollsOnAsBeforeWhenTheClockIsSetBackADay) {
  ca_->processing_polls = 2;
  Create({"example.test"});
  Pass();
  Prove();
  ca_->retry_at = clock_.Now() + absl::Seconds(30);
  const Result waiting = Pass();
  clock_.StepWall(-absl::Hours(24));
  ca_->retry_at = clock_.Now();
  EXPECT_EQ(Pass().requeue_after, waiting.requeue_after);
  clock_.Advance(*waiting.requeue_after);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
}

TEST_F(OrderFailuresTest, APassThatIsStoppedSaysNothingOfTheCa) {
  for (const std::string call :
       {"NewOrder", "GetAuthorization", "Finalize", "GetOrder", "DownloadCertificate"}) {
    const std::string name = absl::AsciiStrToLower(call);
    ca_->processing_polls = 1;
    Create({name + ".test"}, name);
    if (call != "NewOrder" && call != "GetAuthorization") {
      Pass(name);
      Prove();
    }
    auto cancellation = std::make_shared<runtime::Cancellation>();
    ca_->on_call = [&](const std::string& called) {
      if (called == call) cancellation->Cancel();
    };
    ca_->FailNext(call, absl::CancelledError("cancelled"));
    const std::string ready = ReadyOf(name);
    const auto pass = TryPassWithin(
        runtime::Context(clock_, clock_.MonotonicNow() + absl::Seconds(60), cancellation),
        name);
    ASSERT_TRUE(pass.has_value());
    EXPECT_FALSE(pass->ok()) << call;
    EXPECT_EQ(ca_->calls.back(), call);
    EXPECT_EQ(Read(name).status().failures_size(), 0) << call;
    EXPECT_THAT(ReadyOf(name), Not(HasSubstr("cancelled"))) << call;
    EXPECT_THAT(ReadyOf(name), Not(HasSubstr("ServerUnavailable"))) << call;
    if (call == "NewOrder" || call == "Finalize") {
      EXPECT_EQ(ReadyOf(name), ready) << call;
    }
    ca_->on_call = [](const std::string&) {};
    for (int i = 0; i < 3; ++i) {
      Pass(name);
      Prove();
      clock_.Advance(absl::Seconds(10));
    }
    EXPECT_EQ(Read(name).status().state(), v1::ORDER_STATE_VALID) << call;
  }
}

// Fault 16.
TEST_F(OrderFailuresTest, AnUnreachableCaIsTriedAgainAndReportedOnce) {
  Create({"a.test"});
  for (int i = 0; i < 3; ++i) ca_->FailNext("NewOrder", absl::UnavailableError("no route"));
  const int commits = store_.commits();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(TryPass()->ok());
  EXPECT_EQ(Ready().reason(), "ServerUnavailable");
  EXPECT_EQ(store_.commits(), commits + 1);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_PENDING);
}

// Fault 123.
TEST_F(OrderFailuresTest, ACaThatNeverAnswersIsSentFiveNewOrdersInAnHourAtMost) {
  Create({"a.test"});
  const absl::Time begin = clock_.Now();
  // Also after restarts.
  for (int pass = 0; clock_.Now() < begin + absl::Hours(1); ++pass) {
    ca_->LoseReplyOf("NewOrder");
    const Result result = Pass();
    ASSERT_TRUE(result.requeue_after.has_value());
    EXPECT_EQ(Ready().reason(), "ServerUnavailable");
    EXPECT_EQ(ca_->last_request.fresh_connection, pass > 0);
    Restart();
    clock_.Advance(*result.requeue_after / 2);
    const int sent = ca_->Count("NewOrder");
    EXPECT_EQ(Read().status().unanswered_requests(), sent);
    const Result early = Pass();
    EXPECT_EQ(ca_->Count("NewOrder"), sent) << "too early";
    clock_.Advance(early.requeue_after.value_or(absl::ZeroDuration()));
  }
  EXPECT_EQ(ca_->Count("NewOrder"), 5);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_PENDING);
  EXPECT_EQ(Read().status().unanswered_requests(), 0);
}

TEST_F(OrderFailuresTest, ARejectedNameFailsTheOrderForGood) {
  ca_->FailNext("NewOrder",
                FakeAuthority::Problem(400, "rejectedIdentifier", "a.test is forbidden"));
  Create({"a.test"});
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_ERRORED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("a.test is forbidden"));
  ASSERT_THAT(Read().status().failures(), SizeIs(1));
  EXPECT_EQ(Read().status().failures(0).type(), "rejectedIdentifier");
}

// Fault 33.
TEST_F(OrderFailuresTest, WaitsForAPersonWhereOneIsNeeded) {
  ca_->FailNext("NewOrder", FakeAuthority::Problem(403, "userActionRequired", "new terms"));
  Create({"a.test"});
  EXPECT_EQ(Pass().requeue_after, absl::Minutes(10));
  EXPECT_THAT(Ready().message(), HasSubstr("new terms"));
  EXPECT_EQ(Ready().reason(), "UserActionRequired");
  EXPECT_EQ(State(), v1::ORDER_STATE_UNSPECIFIED);
}

// Fault 60.
TEST_F(OrderFailuresTest, ACertificateThatIsNotTheOneOrderedIsAnError) {
  ca_->wrong_names = {"other.test"};
  Create({"a.test"});
  Pass();
  Prove();
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_ERRORED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("other.test"));
  EXPECT_EQ(Read().status().certificate(), "");
}

// Fault 91: with a clock that is put right the next one may be taken, and soon.
TEST_F(OrderFailuresTest, ACertificateOfAnotherTimeIsAFailureButNotOneOfNoUse) {
  ca_->not_before = clock_.Now() + absl::Hours(23);
  Create({"a.test"});
  Pass();
  Prove();
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_ERRORED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("check this machine's clock"));
  EXPECT_THAT(Read().status().failures(), IsEmpty());
}

// Fault 105.
TEST_F(OrderFailuresTest, ACertificateOfNoUseIsFinalAndOfATypeOfItsOwn) {
  using Chain = std::vector<pki::Certificate>;
  const pki::TestCa root("Root");
  const pki::TestCa intermediate = root.MakeIntermediate();
  int number = 0;
  for (const std::function<Chain(pki::Certificate)>& arrange :
       std::vector<std::function<Chain(pki::Certificate)>>{
           // A gap, no leaf, and two leaves none of which is first.
           [&](auto leaf) {
             return Chain{leaf, root.certificate()};
           },
           [&](auto) {
             return Chain{intermediate.certificate(), root.certificate()};
           },
           [&](auto leaf) {
             return Chain{intermediate.certificate(), leaf, ca_->IssueBy(intermediate)};
           }}) {
    const std::string name = absl::StrCat("o", ++number);
    ca_->rearrange = [&](Chain& chain) { chain = arrange(ca_->IssueBy(intermediate)); };
    Create({name + ".test"}, name);
    Pass(name);
    Prove();
    Pass(name);
    const v1::OrderStatus status = Read(name).status();
    EXPECT_EQ(status.state(), v1::ORDER_STATE_ERRORED);
    ASSERT_THAT(status.failures(), SizeIs(1));
    EXPECT_EQ(status.failures(0).type(), "unusableCertificate");
    EXPECT_THAT(status.failures(0).detail(), HasSubstr("chain"));
    EXPECT_THAT(status.reason(), HasSubstr(status.failures(0).detail()));
    EXPECT_EQ(ca_->Count("DownloadCertificate"), number);
  }
}

// Fault 103.
TEST_F(OrderFailuresTest, AnOrderThatCanNeverBeReadIsGivenUpAfterTenMinutes) {
  ca_->garbles_new_orders = true;
  Create({"a.test"});
  const absl::Status senseless =
      acme::ErrorWithClass(absl::StatusCode::kUnavailable, "the answer makes no sense",
                           acme::ErrorClass::kRetryBackoff);
  for (int i = 0; i < 10; ++i) {
    ca_->FailNext("GetOrder", senseless);
    EXPECT_FALSE(TryPass()->ok());
    EXPECT_EQ(State(), v1::ORDER_STATE_PENDING);
    clock_.Advance(absl::Minutes(1));
  }
  ca_->FailNext("GetOrder", senseless);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_ERRORED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("makes no sense"));
  EXPECT_EQ(ca_->Count("NewOrder"), 1);
}

// Fault 62.
TEST_F(OrderFailuresTest, ACertificateThatIsNotThereYetIsFetchedLater) {
  Create({"a.test"});
  Pass();
  Prove();
  ca_->FailNext("DownloadCertificate",
                acme::ErrorWithClass(absl::StatusCode::kNotFound, "not there",
                                     acme::ErrorClass::kRetryBackoff));
  EXPECT_FALSE(TryPass()->ok());
  EXPECT_EQ(State(), v1::ORDER_STATE_PROCESSING);
  Restart();
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
  EXPECT_EQ(ca_->Count("Finalize"), 1);
}

// Fault 62.
TEST_F(OrderFailuresTest, ACertificateThatNeverComesEndsWithTheCasOrder) {
  Create({"a.test"});
  const Result waiting = Pass();
  Prove();
  for (int i = 0; i < 2; ++i) {
    ca_->FailNext("DownloadCertificate",
                  acme::ErrorWithClass(absl::StatusCode::kNotFound, "not there",
                                       acme::ErrorClass::kRetryBackoff));
  }
  EXPECT_FALSE(TryPass()->ok());
  clock_.Advance(*waiting.requeue_after);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_EXPIRED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("not there"));
}

}  // namespace
}  // namespace certwright::order
