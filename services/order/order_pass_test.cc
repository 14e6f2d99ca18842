// What a pass remembers for the next one, and what it leaves behind when it is cut short.
#include "services/order/order_pass.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/order/order_reconciler_fixture.h"

namespace certwright::order {
namespace {

using controller::Result;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kKey[] = "default/o";

class OrderPassTest : public OrderReconcilerFixture {
 protected:
  // A pass with a memory of the test's own.
  absl::StatusOr<Result> PassWith(OrderMemory& memory) {
    const OrderEnvironment environment{timers_,     random_,         orders_, authorities_,
                                       challenges_, absl::Hours(24), {}};
    OrderPass pass(environment, memory, Context(), Read());
    return *Run(pass.Run());
  }
};

TEST_F(OrderPassTest, NothingIsRememberedOfAnIssuedOrder) {
  OrderMemory memory;
  Create({"a.test"});
  ca_->processing_polls = 3;
  CW_ASSERT_OK(PassWith(memory));
  const std::string url = Read().status().url();
  EXPECT_EQ(memory.ClaimUrl(url, "default/other"), kKey);
  Prove();
  while (State() != v1::ORDER_STATE_VALID) {
    CW_ASSERT_OK_AND_ASSIGN(const Result result, PassWith(memory));
    clock_.Advance(result.requeue_after.value_or(absl::ZeroDuration()));
  }
  EXPECT_EQ(memory.waits(kKey).polls, 0);
  EXPECT_EQ(memory.ClaimUrl(url, "default/other"), "");
}

TEST_F(OrderPassTest, AfterARestartAnOpenOrderHasItsOrderOfTheCaStill) {
  Create({"a.test"}, "o");
  Pass("o");
  Restart();
  Pass("o");
  Create({"a.test"}, "later");
  Pass("later");
  EXPECT_EQ(Read("later").status().url(), "");
  EXPECT_THAT(Read("later").status().reason(), HasSubstr("the same names as order default/o"));
}

// Fault 91.
TEST_F(OrderPassTest, AfterARestartNoPollIsPutOffThatWasNotedUnderAClockOfTomorrow) {
  ca_->processing_polls = 2;
  Create({"a.test"});
  Pass();
  Prove();
  ca_->retry_at = clock_.Now() + absl::Hours(3);
  Pass();
  ASSERT_TRUE(Read().status().has_next_check_time());
  const int polls = ca_->Count("GetOrder");
  Restart();
  Pass();
  EXPECT_EQ(ca_->Count("GetOrder"), polls) << "noted under the clock of now";
  clock_.StepWall(-absl::Hours(24));
  Restart();
  Pass();
  EXPECT_EQ(ca_->Count("GetOrder"), polls + 1);
}

TEST_F(OrderPassTest, ACaThatNeedsHoursIsPolledOnceAMinute) {
  ca_->processing_polls = 1'000'000;
  Create({"a.test"});
  Pass();
  Prove();
  const auto run_for = [this](absl::Duration time) {
    for (const absl::Time end = clock_.Now() + time; clock_.Now() < end;) {
      clock_.Advance(Pass().requeue_after.value_or(absl::ZeroDuration()));
    }
  };
  run_for(absl::Hours(1));
  EXPECT_GE(ca_->Count("GetOrder"), 60);
  const int before = ca_->Count("GetOrder");
  run_for(absl::Hours(1));
  EXPECT_LE(ca_->Count("GetOrder") - before, 61);
  EXPECT_GE(ca_->Count("GetOrder") - before, 50);
}

// Fault 109.
TEST_F(OrderPassTest, AChallengeThatTheSolverServiceRefusesFailsTheOrderWithItsReason) {
  for (const absl::Status& refusal : {absl::InvalidArgumentError("spec.dnsName: too long"),
                                      absl::FailedPreconditionError("not like this"),
                                      absl::OutOfRangeError("out of range")}) {
    const std::string name = absl::StrCat("o", challenges_.creations);
    challenges_.create_error = refusal;
    Create({absl::StrCat(name, ".test")}, name);
    Pass(name);
    const v1::Order order = Read(name);
    EXPECT_EQ(order.status().state(), v1::ORDER_STATE_ERRORED) << refusal;
    EXPECT_THAT(order.status().reason(), HasSubstr(std::string(refusal.message())));
    EXPECT_THAT(order.status().reason(), HasSubstr("The solver service"));
    const int creations = challenges_.creations;
    Pass(name);
    EXPECT_EQ(challenges_.creations, creations) << "it is final";
  }
  // An outage is none.
  challenges_.create_error = absl::ResourceExhaustedError("busy");
  Create({"a.test"}, "waits");
  EXPECT_FALSE(TryPass("waits")->ok());
  EXPECT_EQ(Read("waits").status().state(), v1::ORDER_STATE_PENDING);
}

// Fault 116.
TEST_F(OrderPassTest, BeingStoppedSaysNothingAboutTheOrder) {
  Create({"a.test"});
  const std::string before = Read().SerializeAsString();
  for (const absl::Status& error :
       {absl::CancelledError("stopped"), absl::UnavailableError("connection closed"),
        FakeAuthority::Problem(400, "malformed", "half a request")}) {
    const auto cancellation = std::make_shared<runtime::Cancellation>();
    ca_->FailNext("NewOrder", error);
    ca_->on_call = [&](const std::string&) { cancellation->Cancel(); };
    const runtime::Context context(clock_, Context().deadline(), cancellation);
    const auto result = Run(reconciler_->Reconcile(context, kKey));
    ASSERT_TRUE(result.has_value());
    EXPECT_FALSE(result->ok()) << error;
    EXPECT_EQ(Read().SerializeAsString(), before) << error;
  }
  EXPECT_THAT(finished_, IsEmpty());
  ca_->on_call = [](const std::string&) {};
  Pass();
  EXPECT_NE(Read().status().url(), "");
}

// Fault 63.
TEST_F(OrderPassTest, AnAlternateChainThatIsNotWhatWasAskedForIsPassedOver) {
  const pki::TestCa other("Other Root");
  pki::TestCertificateSpec good;
  good.names.dns_names = {"a.test"};
  pki::TestCertificateSpec other_names = good;
  other_names.names.dns_names = {"b.test"};
  pki::TestCertificateSpec expired = good;
  expired.not_before = clock_.Now() - absl::Hours(48);
  expired.not_after = clock_.Now() - absl::Hours(24);
  const pki::PrivateKey stranger = *pki::PrivateKey::Generate(pki::KeySpec());
  const std::vector<pki::Certificate> bad = {other.Sign(stranger.public_key(), good),
                                             other.Sign(key_.public_key(), other_names),
                                             other.Sign(key_.public_key(), expired)};
  ca_->settings.set_preferred_chain("Other Root");
  for (std::size_t i = 0; i < bad.size(); ++i) {
    const std::string url = absl::StrCat("https://ca.test/bad/", i);
    ca_->alternate_urls = {url};
    ca_->alternates[url] = other.ChainFor(bad[i]);
    const std::string name = absl::StrCat("o", i);
    Create({"a.test"}, name);
    Pass(name);
    Prove();
    Pass(name);
    EXPECT_EQ(Read(name).status().state(), v1::ORDER_STATE_VALID) << i;
    EXPECT_THAT(Read(name).status().reason(), HasSubstr("does not offer the chain Other Root"))
        << i;
  }
}

TEST_F(OrderPassTest, NoMoreThanTenAlternateChainsAreLookedAt) {
  ca_->settings.set_preferred_chain("Other Root");
  for (int i = 0; i < 25; ++i) {
    ca_->alternate_urls.push_back(absl::StrCat("https://ca.test/alternate/", i));
  }
  Create({"a.test"});
  Pass();
  Prove();
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
  EXPECT_EQ(ca_->Count("DownloadAlternate"), 10);
}

// Fault 16.
TEST_F(OrderPassTest, AnOutageHoweverLongFailsNoOrderThatWasReadBefore) {
  Create({"a.test"});
  Pass();
  Prove();
  ca_->LoseReplyOf("Finalize");
  EXPECT_FALSE(TryPass()->ok());
  for (int hour = 0; hour < 3; ++hour) {
    clock_.Advance(absl::Hours(1));
    ca_->FailNext("GetOrder", absl::UnavailableError("connection refused"));
    EXPECT_FALSE(TryPass()->ok());
    EXPECT_EQ(State(), v1::ORDER_STATE_READY);
  }
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
}

// Fault 16: only that the certificate is not there says that it will never be.
TEST_F(OrderPassTest, AnOutageBeyondTheOrdersEndLosesNoCertificate) {
  Create({"a.test"});
  const Result waiting = Pass();
  Prove();
  for (int i = 0; i < 2; ++i) {
    ca_->FailNext("DownloadCertificate", absl::UnavailableError("connection refused"));
  }
  EXPECT_FALSE(TryPass()->ok());
  clock_.Advance(*waiting.requeue_after);
  EXPECT_FALSE(TryPass()->ok());
  EXPECT_EQ(State(), v1::ORDER_STATE_PROCESSING);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
}

// Fault 37: a CA gives the next order for the same names what it has for them.
TEST_F(OrderPassTest, AnOrderThatEndedStandsInNoOthersWay) {
  const auto fail = [this](const std::string& name) {
    challenges_.Set(name + ".test", solver::v1::CHALLENGE_STATE_ERRORED, "no such zone");
    Pass(name);
    EXPECT_EQ(Read(name).status().state(), v1::ORDER_STATE_ERRORED);
  };
  struct Case {
    std::string name;
    std::function<void(const std::string&)> end;
  };
  for (const Case& c : std::vector<Case>{
           {"failed", fail},
           {"failed-before-a-restart",
            [&](const std::string& name) {
              fail(name);
              Restart();
            }},
           {"deleted",
            [this](const std::string& name) {
              CW_ASSERT_OK(runtime::RunSync(orders_.MarkDeleted(Context(), "default", name)));
              Pass(name);
            }},
           {"vanished", [this](const std::string& name) {
              CW_ASSERT_OK(runtime::RunSync(orders_.Delete(Context(), "default", name)));
              Pass(name);
            }}}) {
    Create({c.name + ".test"}, c.name);
    Pass(c.name);
    const std::string url = Read(c.name).status().url();
    ASSERT_NE(url, "") << c.name;
    c.end(c.name);
    const std::string next = c.name + "-next";
    Create({c.name + ".test"}, next);
    Pass(next);
    EXPECT_EQ(Read(next).status().url(), url) << c.name;
  }
}

TEST_F(OrderPassTest, AnOrderThatIsTooMuchToBeKeptStandsInNoOthersWay) {
  ca_->offered.assign(1000, std::string(2000, 'x'));
  Create({"a.test"});
  EXPECT_FALSE(TryPass()->ok());
  ASSERT_EQ(State(), v1::ORDER_STATE_ERRORED);
  Pass();
  Create({"a.test"}, "next");
  ASSERT_TRUE(TryPass("next").has_value());
  EXPECT_EQ(Read("next").status().url(), ca_->order.url);
}

// Fault 50.
TEST_F(OrderPassTest, WhatWasWaitedForBeforeSlowsNoPollOfWhatTheCaWorksOn) {
  OrderMemory memory;
  ca_->processing_polls = 1000;
  Create({"a.test"});
  CW_ASSERT_OK(PassWith(memory));
  Prove();
  OrderMemory::Waits waits;
  waits.polls = 59;
  memory.SetWaits(kKey, waits);
  CW_ASSERT_OK_AND_ASSIGN(const Result polling, PassWith(memory));
  EXPECT_EQ(State(), v1::ORDER_STATE_PROCESSING);
  EXPECT_LT(memory.waits(kKey).polls, 10);
  EXPECT_LT(polling.requeue_after.value_or(absl::InfiniteDuration()), absl::Seconds(1));
}

// Fault 24.
TEST_F(OrderPassTest, NothingIsLeftOfARateLimitThatIsOver) {
  ca_->FailNext("GetAuthorization", FakeAuthority::Problem(429, "rateLimited", "too many",
                                                           clock_.Now() + absl::Minutes(5)));
  Create({"a.test", "b.test"});
  EXPECT_EQ(Pass().requeue_after, absl::Minutes(5));
  EXPECT_EQ(Ready().reason(), "RateLimited");
  clock_.Advance(absl::Minutes(5));
  Pass();
  EXPECT_FALSE(Read().status().has_retry_time());
  EXPECT_THAT(Read().status().failures(), IsEmpty());
  EXPECT_EQ(Ready().reason(), "Pending");
  EXPECT_THAT(challenges_.challenges, SizeIs(2));
  EXPECT_EQ(ca_->Count("GetAuthorization"), 3) << "what was read is not read again";
}

// Fault 24: the issuer service would hold back others for it.
TEST_F(OrderPassTest, AnOutageIsNotTakenForTheRateLimitBeforeIt) {
  ca_->FailNext("NewOrder", FakeAuthority::Problem(429, "rateLimited", "too many",
                                                   clock_.Now() + absl::Minutes(5)));
  ca_->FailNext("NewOrder", absl::UnavailableError("no route"));
  Create({"a.test"});
  Pass();
  EXPECT_THAT(Read().status().failures(), SizeIs(1));
  clock_.Advance(absl::Minutes(5));
  EXPECT_FALSE(TryPass()->ok());
  EXPECT_EQ(Ready().reason(), "ServerUnavailable");
  EXPECT_THAT(Read().status().failures(), IsEmpty());
}

// Fault 51.
TEST_F(OrderPassTest, ACaThatNeverLetsAnOrderBeFinalizedFailsIt) {
  Create({"a.test"});
  Pass();
  Prove();
  for (int i = 0; i < 10; ++i) {
    ca_->FailNext("Finalize", FakeAuthority::Problem(403, "unauthorized", "not yours"));
  }
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_ERRORED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("not yours"));
  EXPECT_EQ(ca_->Count("Finalize"), 6);
}

TEST_F(OrderPassTest, TheEndOfAnIssuedOrdersRetentionTakesNoProofFromOthers) {
  Create({"a.test"});
  Pass();
  Prove();
  Pass();
  ASSERT_EQ(State(), v1::ORDER_STATE_VALID);
  // The solver service keeps its challenges for a shorter time.
  challenges_.challenges.clear();
  clock_.Advance(absl::Hours(24));
  Pass();
  EXPECT_EQ(Read().metadata().name(), "");
  EXPECT_THAT(ca_->deactivated, IsEmpty());
}

}  // namespace
}  // namespace certwright::order
