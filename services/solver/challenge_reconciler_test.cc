#include "services/solver/challenge_reconciler.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "services/solver/challenge_decision.h"
#include "services/solver/solver_world.h"

namespace certwright::solver {
namespace {

using base::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

constexpr char kRecord[] = "_acme-challenge.www.example.test";

std::string ConditionReason(const v1::Challenge& challenge) {
  const auto* condition = service::FindCondition(challenge.status().conditions(), "Valid");
  return condition == nullptr ? "" : condition->reason();
}

TEST(ChallengeReconcilerTest, ProvesADns01ChallengeWithTwoCommits) {
  SolverWorld world;
  world.Create(world.Make("a"));
  const int before = world.commits();
  world.AuthorityOf("a").on_accept = [&] {
    EXPECT_THAT(world.providers.values, ElementsAre(Pair(kRecord, "key-of-a")));
  };
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.commits() - before, 2);
  const v1::Challenge challenge = world.Get("a");
  EXPECT_EQ(challenge.status().state(), v1::CHALLENGE_STATE_VALID);
  EXPECT_EQ(ConditionReason(challenge), "Valid");
  EXPECT_TRUE(service::IsTrue(challenge.status().conditions(), "Valid"));
  EXPECT_FALSE(challenge.status().processing());
  EXPECT_TRUE(challenge.status().presented());
  EXPECT_EQ(challenge.status().resolved_name(), kRecord);
  EXPECT_EQ(challenge.status().resolved_zone(), "example.test");
  EXPECT_EQ(world.AuthorityOf("a").accepts, 1);
  EXPECT_EQ(world.scheduler->in_flight(), 0);
  EXPECT_THAT(world.finished, ElementsAre("a"));
}

TEST(ChallengeReconcilerTest, ANewChallengeIsNotLookedUpAtTheCaFirst) {
  SolverWorld world;
  world.Create(world.Make("a"));
  world.AuthorityOf("a").on_accept = [&] { EXPECT_EQ(world.AuthorityOf("a").gets, 0); };
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.AuthorityOf("a").gets, 1);
}

TEST(ChallengeReconcilerTest, WhatIsPutOutIsInTheLedgerFirst) {
  SolverWorld world;
  world.Create(world.Make("a"));
  world.mortal().DieAtCommit(1, true);
  EXPECT_FALSE(world.Settle("a"));
  EXPECT_EQ(world.providers.presents, 0);
  world.Restart();
  const auto ledger = world.Ledger();
  ASSERT_THAT(ledger, SizeIs(1));
  EXPECT_EQ(ledger[0].record_name(), kRecord);
  EXPECT_EQ(ledger[0].zone(), "example.test");
  EXPECT_EQ(ledger[0].value(), "key-of-a");
  EXPECT_TRUE(world.Get("a").status().presented());
}

// Fault 79.
TEST(ChallengeReconcilerTest, ServesTheTokenOfAnHttp01ChallengeUntilItIsCleanedUp) {
  SolverWorld world;
  world.Create(world.Make("a", "www.example.test", v1::CHALLENGE_TYPE_HTTP01));
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  EXPECT_EQ(world.tokens->size(), 1u);
  EXPECT_EQ(world.providers.presents, 0);
  EXPECT_THAT(world.CleanUp(), ElementsAre(base::IsOk()));
  EXPECT_EQ(world.tokens->size(), 0u);
  EXPECT_FALSE(world.Get("a").status().presented());
}

class RestartTest : public testing::TestWithParam<std::tuple<int, bool, v1::ChallengeType>> {};

// Fault 80.
TEST_P(RestartTest, AKillAtAnyCommitEndsValidAndLeavesNothing) {
  const auto [commit, applied, type] = GetParam();
  SolverWorld world;
  world.Create(world.Make("a", "www.example.test", type));
  // So slow that the CA's work spans passes.
  world.AuthorityOf("a").polls_until_decided = 12;
  world.mortal().DieAtCommit(commit, applied);
  const bool alive = world.Settle("a") && (world.CleanUp(), !world.mortal().dead());
  ASSERT_FALSE(alive) << "commit " << commit << " did not happen";
  world.Restart();
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  world.CleanUp();
  EXPECT_THAT(world.Ledger(), IsEmpty());
  EXPECT_THAT(world.providers.values, IsEmpty());
  EXPECT_EQ(world.tokens->size(), 0u);
  EXPECT_FALSE(world.Get("a").status().presented());
  EXPECT_TRUE(service::IsTrue(world.Get("a").status().conditions(), "CleanedUp"));
  EXPECT_EQ(world.scheduler->in_flight(), 0);
}

// The intent, ACCEPTED, the end, the clean-up.
INSTANTIATE_TEST_SUITE_P(Commits, RestartTest,
                         testing::Combine(testing::Values(1, 2, 3, 4), testing::Bool(),
                                          testing::Values(v1::CHALLENGE_TYPE_DNS01,
                                                          v1::CHALLENGE_TYPE_HTTP01)));

TEST(ChallengeReconcilerTest, AnIntentThatCannotBeStoredIsNotTakenForStored) {
  SolverWorld world;
  world.Create(world.Make("a"));
  for (const absl::Status& error :
       {absl::UnavailableError("disk full"), absl::ResourceExhaustedError("quota"),
        absl::AbortedError("changed")}) {
    world.mortal().FailNextCommit(error);
    const auto result = world.Pass("a");
    ASSERT_TRUE(result.has_value());
    EXPECT_FALSE(world.Get("a").status().presented()) << error;
    EXPECT_EQ(world.providers.presents, 0);
    EXPECT_THAT(world.Ledger(), IsEmpty());
    world.clock.Advance(absl::Minutes(1));
  }
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  EXPECT_THAT(world.Ledger(), SizeIs(1));
}

TEST(ChallengeReconcilerTest, ASelfCheckThatIsCutOffIsNoneThatFailed) {
  SolverWorld world;
  world.Create(world.Make("a"));
  const auto cancellation = std::make_shared<runtime::Cancellation>();
  world.dns01_check.sees = [&](const v1::Challenge&) {
    cancellation->Cancel();
    return false;
  };
  const auto result = world.Await(world.reconciler->Reconcile(
      runtime::Context(world.clock, world.clock.MonotonicNow() + absl::Minutes(1),
                       cancellation),
      "default/a"));
  EXPECT_THAT(*result, StatusIs(absl::StatusCode::kCancelled));
  world.dns01_check.sees = [](const v1::Challenge&) { return true; };
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  EXPECT_EQ(world.Get("a").status().checks(), 1);
}

TEST(ChallengeReconcilerTest, WhatTheCaLooksForHoldsASlotAgainAfterARestart) {
  SolverWorld world;
  world.limits.per_issuer = 1;
  world.Restart();
  world.Create(world.Make("a"));
  world.AuthorityOf("a").polls_until_decided = 1000;
  ASSERT_TRUE(world.Settle("a", absl::Seconds(2)));
  ASSERT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_ACCEPTED);
  world.Restart();
  ASSERT_TRUE(world.Settle("a", absl::Seconds(5)));
  EXPECT_TRUE(world.scheduler->HasSlot("default/a"));
  world.Create(world.Make("b", "b.example.test"));
  ASSERT_TRUE(world.Pass("b").has_value());
  EXPECT_EQ(world.StateOf("b"), v1::CHALLENGE_STATE_QUEUED);
}

// Fault 110.
TEST(ChallengeReconcilerTest, WhatWasCertainlyNotWrittenLeavesNothingToRemove) {
  SolverWorld world;
  world.Create(world.Make("a"));
  world.providers.present_error = MarkNothingChanged(
      absl::FailedPreconditionError("the DNS server 192.0.2.1:53 answered REFUSED"));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(world.Settle("a", absl::Seconds(61)));
    EXPECT_THAT(world.Ledger(), IsEmpty());
    const v1::Challenge challenge = world.Get("a");
    EXPECT_FALSE(challenge.status().presented());
    EXPECT_EQ(ConditionReason(challenge), "PresentError");
    EXPECT_THAT(challenge.status().reason(), HasSubstr("REFUSED"));
  }
  EXPECT_GT(world.providers.presents, 2);
  // Where the record goes is looked up anew.
  world.configs.solver.mutable_dns01()->add_alias_zones("dyn.test");
  world.resolver.Set("", kRecord, dns::RecordType::kCname,
                     dns::Answering({dns::CnameRecord(kRecord, "x.dyn.test")}));
  world.resolver.Set("", "x.dyn.test", dns::RecordType::kCname, dns::NxDomain("dyn.test"));
  world.providers.present_error = absl::OkStatus();
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  EXPECT_THAT(world.providers.values, ElementsAre(Pair("x.dyn.test", "key-of-a")));
  EXPECT_THAT(world.Ledger(), SizeIs(1));
}

// Fault 110.
TEST(ChallengeReconcilerTest, WhatMayHaveBeenWrittenStaysInTheLedgerThoughALaterTryIsRefused) {
  SolverWorld world;
  world.Create(world.Make("a"));
  for (const absl::Status& error :
       {absl::UnavailableError("no answer"),
        MarkNothingChanged(absl::FailedPreconditionError("REFUSED")),
        MarkNothingChanged(absl::InvalidArgumentError("no record"))}) {
    world.providers.present_error = error;
    ASSERT_TRUE(world.Pass("a").has_value());
    EXPECT_THAT(world.Ledger(), SizeIs(1)) << error;
    EXPECT_TRUE(world.Get("a").status().presented());
    world.clock.Advance(absl::Minutes(1));
  }
}

// Fault 108.
TEST(ChallengeReconcilerTest, ARefusalByAnAliasedZoneNamesTheAliasAndTheWayOut) {
  for (const std::string rcode : {"REFUSED", "NOTAUTH", "NOTZONE", "SERVFAIL"}) {
    SolverWorld world;
    world.configs.solver.mutable_dns01()->add_alias_zones("dyn.test");
    world.Create(world.Make("a"));
    world.resolver.Set("", kRecord, dns::RecordType::kCname,
                       dns::Answering({dns::CnameRecord(kRecord, "x.dyn.test")}));
    world.resolver.Set("", "x.dyn.test", dns::RecordType::kCname, dns::NxDomain("dyn.test"));
    world.providers.present_error =
        MarkNothingChanged(absl::FailedPreconditionError("the DNS server answered " + rcode));
    ASSERT_TRUE(world.Pass("a").has_value());
    EXPECT_THAT(world.Get("a").status().reason(),
                testing::AllOf(HasSubstr(kRecord), HasSubstr("alias of x.dyn.test"),
                               HasSubstr("CNAME_STRATEGY_NONE"), HasSubstr(rcode)));
  }
}

TEST(ChallengeReconcilerTest, ASelfCheckThatNeverSucceedsGivesItsSlotToOthers) {
  SolverWorld world;
  world.limits.total = 1;
  world.Restart();
  world.dns01_check.sees = [](const v1::Challenge& challenge) {
    return challenge.metadata().name() == "good";
  };
  world.Create(world.Make("bad"));
  world.Create(world.Make("good", "good.example.test"));
  ASSERT_TRUE(world.Pass("bad").has_value());
  ASSERT_TRUE(world.Pass("good").has_value());
  EXPECT_EQ(world.StateOf("good"), v1::CHALLENGE_STATE_QUEUED);
  ASSERT_TRUE(world.Settle("bad", absl::Seconds(65)));
  EXPECT_THAT(world.woken, ElementsAre("default/good"));
  EXPECT_EQ(world.StateOf("bad"), v1::CHALLENGE_STATE_QUEUED);
  ASSERT_TRUE(world.Settle("good", absl::Seconds(10)));
  EXPECT_EQ(world.StateOf("good"), v1::CHALLENGE_STATE_VALID);
}

// Fault 91.
TEST(ChallengeReconcilerTest, LooksOnAsBeforeWhenTheClockIsSetBackADay) {
  SolverWorld world;
  int looks = 0;
  world.dns01_check.sees = [&looks](const v1::Challenge&) { return ++looks > 5; };
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  ASSERT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_PRESENTED);
  world.clock.StepWall(-absl::Hours(24));
  ASSERT_TRUE(world.Settle("a", absl::Seconds(10)));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
}

// Fault 49.
TEST(ChallengeReconcilerTest, ASelfCheckThatNeverSucceedsEndsExpiredWithItsFindings) {
  SolverWorld world;
  world.dns01_check.sees = [](const v1::Challenge&) { return false; };
  world.Create(world.Make("a"));
  const absl::Time start = world.clock.Now();
  ASSERT_TRUE(world.Settle("a"));
  const v1::Challenge challenge = world.Get("a");
  EXPECT_EQ(challenge.status().state(), v1::CHALLENGE_STATE_EXPIRED);
  EXPECT_THAT(challenge.status().reason(),
              HasSubstr("ns2.example.test (127.0.0.1:5301) does not have the record yet"));
  EXPECT_GE(world.clock.Now() - start, absl::Minutes(10));
  EXPECT_LE(world.clock.Now() - start, absl::Minutes(10) + absl::Seconds(1));
  EXPECT_EQ(world.AuthorityOf("a").accepts, 0);
  EXPECT_EQ(world.scheduler->in_flight(), 0);
  // Every 5 s in the first minute, later on rarer.
  EXPECT_GT(world.dns01_check.checks, 20);
  EXPECT_LT(world.dns01_check.checks, 50);
  world.CleanUp();
  EXPECT_THAT(world.providers.values, IsEmpty());
}

TEST(ChallengeReconcilerTest, UnchangedFindingsAreNotWrittenEachTime) {
  SolverWorld world;
  world.dns01_check.sees = [](const v1::Challenge&) { return false; };
  world.Create(world.Make("a"));
  const int before = world.commits();
  ASSERT_TRUE(world.Settle("a", absl::Seconds(4)));
  EXPECT_GE(world.dns01_check.checks, 6);
  // The intent, and what the first checks have found.
  EXPECT_EQ(world.commits() - before, 2);
  EXPECT_EQ(world.Get("a").status().reason(), world.dns01_check.reason);
}

TEST(ChallengeReconcilerTest, ARecordThatSomebodyRemovedIsPutOutAgain) {
  SolverWorld world;
  world.AuthorityOf("a").polls_until_decided = 1;
  world.Create(world.Make("a"));
  bool hidden = true;
  world.dns01_check.sees = [&](const v1::Challenge&) {
    return !hidden && !world.providers.values.empty();
  };
  ASSERT_TRUE(world.Settle("a", absl::Seconds(10)));
  world.providers.values.clear();
  hidden = false;
  ASSERT_TRUE(world.Settle("a", absl::Seconds(40)));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
}

// Fault 78.
TEST(ChallengeReconcilerTest, TheCasRefusalIsFinal) {
  SolverWorld world;
  FakeAuthority& authority = world.AuthorityOf("a");
  authority.verdict = acme::AuthorizationStatus::kInvalid;
  authority.error = acme::Problem();
  authority.error->type = "urn:ietf:params:acme:error:dns";
  authority.error->detail = "no such name";
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Settle("a"));
  const v1::Challenge challenge = world.Get("a");
  EXPECT_EQ(challenge.status().state(), v1::CHALLENGE_STATE_INVALID);
  EXPECT_EQ(challenge.status().error_type(), "dns");
  EXPECT_THAT(challenge.status().reason(), HasSubstr("no such name"));
  EXPECT_EQ(ConditionReason(challenge), "Invalid");
  EXPECT_EQ(world.scheduler->in_flight(), 0);
}

// Fault 39.
TEST(ChallengeReconcilerTest, AfterARestartAValidAuthorizationNeedsNoProof) {
  SolverWorld world;
  world.limits.total = 0;
  world.Restart();
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  ASSERT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_QUEUED);
  world.limits.total = 1;
  world.Restart();
  world.AuthorityOf("a").status = acme::AuthorizationStatus::kValid;
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  EXPECT_EQ(world.providers.presents, 0);
  EXPECT_EQ(world.AuthorityOf("a").accepts, 0);
}

// Fault 40.
TEST(ChallengeReconcilerTest, ADeadAuthorizationIsNotProven) {
  SolverWorld world;
  v1::Challenge challenge = world.Make("a");
  challenge.mutable_status()->set_state(v1::CHALLENGE_STATE_QUEUED);
  world.Create(std::move(challenge));
  world.AuthorityOf("a").status = acme::AuthorizationStatus::kExpired;
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_EXPIRED);
  EXPECT_EQ(world.providers.presents, 0);
}

TEST(ChallengeReconcilerTest, DeletionMidFlightIsCleanedUpByTheLedger) {
  SolverWorld world;
  world.dns01_check.sees = [](const v1::Challenge&) { return false; };
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  ASSERT_THAT(world.providers.values, SizeIs(1));
  EXPECT_EQ(world.scheduler->in_flight(), 1);
  world.Delete("a");
  CW_EXPECT_OK(*world.Pass("a"));
  EXPECT_EQ(world.scheduler->in_flight(), 0);
  EXPECT_THAT(world.CleanUp(), ElementsAre(base::IsOk()));
  EXPECT_THAT(world.providers.values, IsEmpty());
  EXPECT_THAT(world.Ledger(), IsEmpty());
}

TEST(ChallengeReconcilerTest, DeletionBeforeTheIntentPutsNothingOut) {
  SolverWorld world;
  const v1::Challenge challenge = world.Create(world.Make("a"));
  world.mortal().BeforeNextCommit([&] { world.Delete("a"); });
  const auto result = world.Pass("a");
  ASSERT_TRUE(result.has_value());
  EXPECT_FALSE(result->ok());
  EXPECT_EQ(world.providers.presents, 0);
  EXPECT_THAT(world.Ledger(), IsEmpty());
  CW_EXPECT_OK(*world.Pass("a"));
  EXPECT_EQ(world.scheduler->in_flight(), 0);
}

// Fault 46.
TEST(ChallengeReconcilerTest, WildcardAndApexAreProvenTogether) {
  SolverWorld world;
  world.dns01_check.sees = [&](const v1::Challenge&) {
    return world.providers.values.size() == 2;
  };
  v1::Challenge wildcard = world.Make("b");
  wildcard.mutable_spec()->set_wildcard(true);
  world.Create(world.Make("a"));
  world.Create(std::move(wildcard));
  ASSERT_TRUE(world.Pass("a").has_value());
  ASSERT_TRUE(world.Settle("b"));
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  EXPECT_EQ(world.StateOf("b"), v1::CHALLENGE_STATE_VALID);
  EXPECT_THAT(world.providers.values,
              ElementsAre(Pair(kRecord, "key-of-a"), Pair(kRecord, "key-of-b")));
}

// Fault 47.
TEST(ChallengeReconcilerTest, AProviderWithOneValuePerNameIsUsedByOneChallengeAtATime) {
  SolverWorld world;
  world.providers.max_values_per_name = 1;
  world.dns01_check.sees = [](const v1::Challenge&) { return false; };
  world.Create(world.Make("a"));
  world.Create(world.Make("b"));
  ASSERT_TRUE(world.Pass("a").has_value());
  ASSERT_TRUE(world.Pass("b").has_value());
  EXPECT_EQ(world.StateOf("b"), v1::CHALLENGE_STATE_QUEUED);
  EXPECT_THAT(world.providers.values, ElementsAre(Pair(kRecord, "key-of-a")));
  world.Delete("a");
  CW_EXPECT_OK(*world.Pass("a"));
  EXPECT_THAT(world.woken, ElementsAre("default/b"));
}

TEST(ChallengeReconcilerTest, ARateLimitIsWaitedForWithoutASlot) {
  SolverWorld world;
  acme::Problem problem;
  problem.type = "urn:ietf:params:acme:error:rateLimited";
  const absl::Time retry_at = world.clock.Now() + absl::Minutes(3);
  world.AuthorityOf("a").accept_error =
      acme::ProblemStatus(429, problem, retry_at, world.clock.Now());
  world.Create(world.Make("a"));
  const auto result = world.Pass("a");
  ASSERT_TRUE(result.has_value() && result->ok());
  EXPECT_EQ((*result)->requeue_after, retry_at - world.clock.Now());
  EXPECT_EQ(world.scheduler->in_flight(), 0);
  EXPECT_EQ(service::FromProto(world.Get("a").status().next_check_time()), retry_at);
  // Also after a restart.
  world.Restart();
  ASSERT_TRUE(world.Pass("a").has_value());
  EXPECT_EQ(world.AuthorityOf("a").accepts, 1);
  world.AuthorityOf("a").accept_error = absl::OkStatus();
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
}

TEST(ChallengeReconcilerTest, HurryEndsAWait) {
  SolverWorld world;
  world.providers.present_error = absl::FailedPreconditionError("BADKEY");
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  EXPECT_EQ(ConditionReason(world.Get("a")), "PresentError");
  EXPECT_EQ(world.scheduler->in_flight(), 0);
  world.providers.present_error = absl::OkStatus();
  ASSERT_TRUE(world.Pass("a").has_value());
  EXPECT_EQ(world.providers.presents, 1);
  world.reconciler->Hurry("default/a");
  ASSERT_TRUE(world.Settle("a", absl::Seconds(2)));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
}

TEST(ChallengeReconcilerTest, AProviderThatDoesNotAnswerIsTriedAgain) {
  SolverWorld world;
  world.providers.present_error = absl::UnavailableError("SERVFAIL");
  world.Create(world.Make("a"));
  const auto result = world.Pass("a");
  ASSERT_TRUE(result.has_value());
  EXPECT_THAT(*result, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(world.Get("a").status().reason(), HasSubstr("SERVFAIL"));
  EXPECT_EQ(world.scheduler->in_flight(), 0);
  world.providers.present_error = absl::OkStatus();
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
}

TEST(ChallengeReconcilerTest, AnUnsupportedProviderIsAnErrorForGood) {
  SolverWorld world;
  world.providers.find_error = absl::UnimplementedError("provider cloudflare is not supported");
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_ERRORED);
  EXPECT_EQ(ConditionReason(world.Get("a")), "Unsupported");
  EXPECT_THAT(world.Get("a").status().reason(), HasSubstr("cloudflare"));
}

TEST(ChallengeReconcilerTest, WithoutAListenerHttp01IsAnErrorForGood) {
  SolverWorld world;
  world.settings.http01_enabled = false;
  world.Restart();
  world.Create(world.Make("a", "www.example.test", v1::CHALLENGE_TYPE_HTTP01));
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_ERRORED);
  EXPECT_THAT(world.Get("a").status().reason(), HasSubstr("http01Listen"));
}

TEST(ChallengeReconcilerTest, ASolverOfAnotherTypeIsAnErrorForGood) {
  SolverWorld world;
  world.Create(world.Make("a"));
  world.configs.solver.mutable_http01();
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_ERRORED);
  EXPECT_THAT(world.Get("a").status().reason(), HasSubstr("is not for DNS-01"));
}

TEST(ChallengeReconcilerTest, AMissingIssuerIsWaitedForWithoutASlot) {
  SolverWorld world;
  world.authorities.error = absl::NotFoundError("Issuer default/pebble does not exist");
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  EXPECT_EQ(ConditionReason(world.Get("a")), "IssuerNotReady");
  EXPECT_THAT(world.Get("a").status().reason(), HasSubstr("does not exist"));
  EXPECT_EQ(world.scheduler->in_flight(), 0);
  world.authorities.error = absl::OkStatus();
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
}

TEST(ChallengeReconcilerTest, AMissingSolverIsWaitedFor) {
  SolverWorld world;
  world.configs.error = absl::NotFoundError("Issuer default/pebble has no solver dns");
  world.Create(world.Make("a"));
  const auto result = world.Pass("a");
  ASSERT_TRUE(result.has_value() && result->ok());
  EXPECT_EQ((*result)->requeue_after, kOperatorDelay);
  EXPECT_EQ(ConditionReason(world.Get("a")), "PresentError");
}

TEST(ChallengeReconcilerTest, AWaitInsteadOfASelfCheckIsKept) {
  SolverWorld world;
  world.configs.solver.mutable_self_check()->set_mode(issuer::v1::SELF_CHECK_MODE_NONE);
  world.configs.solver.mutable_self_check()->mutable_wait()->set_seconds(90);
  world.Create(world.Make("a"));
  absl::Time accepted;
  world.AuthorityOf("a").on_accept = [&] { accepted = world.clock.Now(); };
  const absl::Time start = world.clock.Now();
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(accepted - start, absl::Seconds(90));
  EXPECT_EQ(world.dns01_check.checks, 0);
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
}

TEST(ChallengeReconcilerTest, TheSettleTimeIsKept) {
  SolverWorld world;
  world.configs.solver.mutable_self_check()->mutable_settle()->set_seconds(20);
  world.Create(world.Make("a"));
  absl::Time accepted;
  world.AuthorityOf("a").on_accept = [&] { accepted = world.clock.Now(); };
  const absl::Time start = world.clock.Now();
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(accepted - start, absl::Seconds(20));
  EXPECT_EQ(world.dns01_check.checks, 1);
}

TEST(ChallengeReconcilerTest, ACaThatTakesItsTimeIsPolledAsItWishes) {
  SolverWorld world;
  FakeAuthority& authority = world.AuthorityOf("a");
  authority.polls_until_decided = 3;
  authority.retry_at = world.clock.Now() + absl::Seconds(30);
  world.Create(world.Make("a"));
  const auto result = world.Pass("a");
  ASSERT_TRUE(result.has_value() && result->ok());
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_ACCEPTED);
  EXPECT_GT((*result)->requeue_after, absl::Seconds(29));
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(authority.gets, 3);
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
}

TEST(ChallengeReconcilerTest, WhatTheCaDecidedDuringALongOutageCounts) {
  SolverWorld world;
  FakeAuthority& authority = world.AuthorityOf("a");
  authority.polls_until_decided = 100;
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  ASSERT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_ACCEPTED);
  world.Restart();
  world.clock.Advance(absl::Hours(2));
  authority.status = acme::AuthorizationStatus::kValid;
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
}

TEST(ChallengeReconcilerTest, ACaThatNeverDecidesEndsExpired) {
  SolverWorld world;
  world.AuthorityOf("a").polls_until_decided = 100'000;
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_EXPIRED);
  EXPECT_THAT(world.Get("a").status().reason(), HasSubstr("the CA did not decide in time"));
}

// Fault 39.
TEST(ChallengeReconcilerTest, ANameThatIsProvenWithoutUsMeanwhileIsValid) {
  SolverWorld world;
  FakeAuthority& authority = world.AuthorityOf("a");
  authority.accept_error = acme::ErrorWithClass(absl::StatusCode::kInvalidArgument, "malformed",
                                                acme::ErrorClass::kPermanent);
  authority.on_accept = [&] { authority.status = acme::AuthorizationStatus::kValid; };
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  EXPECT_EQ(authority.accepts, 1);
  world.CleanUp();
  EXPECT_THAT(world.providers.values, IsEmpty());
}

TEST(ChallengeReconcilerTest, ARefusedAcceptOfAPendingChallengeIsAnError) {
  SolverWorld world;
  world.AuthorityOf("a").accept_error = acme::ErrorWithClass(
      absl::StatusCode::kInvalidArgument, "malformed", acme::ErrorClass::kPermanent);
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_ERRORED);
  EXPECT_EQ(world.AuthorityOf("a").accepts, 2);
}

TEST(ChallengeReconcilerTest, AFinishedChallengeIsDeletedAfterItsRetention) {
  SolverWorld world;
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Settle("a"));
  const auto result = world.Pass("a");
  ASSERT_TRUE(result.has_value() && result->ok());
  ASSERT_TRUE((*result)->requeue_after.has_value());
  EXPECT_GT(*(*result)->requeue_after, absl::Minutes(59));
  world.clock.Advance(*(*result)->requeue_after);
  CW_EXPECT_OK(*world.Pass("a"));
  EXPECT_EQ(world.Get("a").metadata().name(), "");
  // What it put out is still known.
  world.CleanUp();
  EXPECT_THAT(world.providers.values, IsEmpty());
}

TEST(ChallengeReconcilerTest, AChallengeThatWasMadeAnewStartsAnew) {
  SolverWorld world;
  world.dns01_check.sees = [](const v1::Challenge&) { return false; };
  world.Create(world.Make("a"));
  ASSERT_TRUE(world.Pass("a").has_value());
  world.Delete("a");
  world.Create(world.Make("a"));
  world.dns01_check.sees = [](const v1::Challenge&) { return true; };
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  EXPECT_THAT(world.Ledger(), SizeIs(2));
  world.CleanUp();
  EXPECT_THAT(world.Ledger(), IsEmpty());
  EXPECT_THAT(world.providers.values, IsEmpty());
}

TEST(ChallengeReconcilerTest, AnAliasLeadsTheRecordElsewhere) {
  SolverWorld world;
  world.configs.solver.mutable_dns01()->add_alias_zones("dyn.test");
  world.Create(world.Make("a"));
  dns::Message message = dns::NxDomain("dyn.test");
  message.answers.push_back(dns::CnameRecord(kRecord, "x.dyn.test"));
  world.resolver.Set("", kRecord, dns::RecordType::kCname, message);
  world.resolver.Set("", "x.dyn.test", dns::RecordType::kCname, dns::NxDomain("dyn.test"));
  ASSERT_TRUE(world.Settle("a"));
  EXPECT_EQ(world.StateOf("a"), v1::CHALLENGE_STATE_VALID);
  EXPECT_THAT(world.providers.values, ElementsAre(Pair("x.dyn.test", "key-of-a")));
  EXPECT_EQ(world.Get("a").status().resolved_zone(), "dyn.test");
}

}  // namespace
}  // namespace certwright::solver
