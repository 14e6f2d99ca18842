#include "services/order/order_decision.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/acme/problem.h"
#include "lib/http/http_client.h"
#include "lib/service/conditions.h"

namespace certwright::order {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1767323045);

// A world as Decide() sees it.
struct World {
  v1::Order order;
  Snapshot snapshot;
  acme::Order ca_order;
  std::vector<solver::v1::Challenge> challenges;

  World() {
    order.mutable_metadata()->set_namespace_("default");
    order.mutable_metadata()->set_name("o");
  }
  World& Placed(v1::OrderState state = v1::ORDER_STATE_PENDING) {
    order.mutable_status()->set_state(state);
    order.mutable_status()->set_url("https://ca.test/order/1");
    *order.mutable_status()->mutable_expires() = service::ToProto(kNow + absl::Hours(1));
    return *this;
  }
  World& Authorization(const std::string& initial_state) {
    auto& authorization = *order.mutable_status()->add_authorizations();
    authorization.set_url("https://ca.test/authz/1");
    authorization.set_identifier("example.com");
    authorization.set_initial_state(initial_state);
    return *this;
  }
  World& Challenge(solver::v1::ChallengeState state) {
    challenges.emplace_back().mutable_status()->set_state(state);
    return *this;
  }
  World& Ca(acme::OrderStatus status) {
    ca_order.status = status;
    snapshot.ca_order = &ca_order;
    return *this;
  }
  World& ExpiresIn(absl::Duration duration) {
    *order.mutable_status()->mutable_expires() = service::ToProto(kNow + duration);
    return *this;
  }

  Action Decide() {
    snapshot.challenges.assign(order.status().authorizations_size(), nullptr);
    for (std::size_t i = 0; i < challenges.size(); ++i) snapshot.challenges[i] = &challenges[i];
    if (snapshot.ca_order != nullptr) snapshot.ca_order = &ca_order;
    return order::Decide(order, snapshot, kNow);
  }
};

using solver::v1::CHALLENGE_STATE_ACCEPTED;
using solver::v1::CHALLENGE_STATE_ERRORED;
using solver::v1::CHALLENGE_STATE_EXPIRED;
using solver::v1::CHALLENGE_STATE_INVALID;
using solver::v1::CHALLENGE_STATE_QUEUED;
using solver::v1::CHALLENGE_STATE_VALID;

struct Case {
  std::string title;
  World world;
  Step expected;
  v1::OrderState failed_state = v1::ORDER_STATE_UNSPECIFIED;
};

void Check(std::vector<Case> cases) {
  for (Case& c : cases) {
    SCOPED_TRACE(c.title);
    const Action action = c.world.Decide();
    EXPECT_EQ(static_cast<int>(action.step), static_cast<int>(c.expected));
    EXPECT_EQ(action.failed_state, c.failed_state);
  }
}

TEST(DecideTest, FollowsTheStatesOfTheCasOrder) {
  World expired_ready =
      World().Placed().Ca(acme::OrderStatus::kReady).ExpiresIn(-absl::Hours(1));
  World expired_valid =
      World().Placed().Ca(acme::OrderStatus::kValid).ExpiresIn(-absl::Hours(1));
  World expired_processing =
      World().Placed().Ca(acme::OrderStatus::kProcessing).ExpiresIn(-absl::Hours(1));
  World finalized_ready = World().Placed().Ca(acme::OrderStatus::kReady);
  finalized_ready.snapshot.finalized = true;
  World finalized_pending = World().Placed().Ca(acme::OrderStatus::kPending);
  finalized_pending.snapshot.finalized = true;
  Check({
      {"a new order is placed", World(), Step::kPlace},
      {"born ready", World().Placed().Authorization("").Ca(acme::OrderStatus::kReady),
       Step::kFinalize},
      {"processing", World().Placed().Ca(acme::OrderStatus::kProcessing), Step::kPoll},
      {"valid", World().Placed().Ca(acme::OrderStatus::kValid), Step::kDownload},
      {"invalid", World().Placed().Ca(acme::OrderStatus::kInvalid), Step::kFail,
       v1::ORDER_STATE_INVALID},
      {"still ready after finalize", finalized_ready, Step::kPoll},
      {"still pending after finalize", finalized_pending, Step::kPoll},
      {"ready but too late", expired_ready, Step::kFail, v1::ORDER_STATE_EXPIRED},
      {"processing for too long", expired_processing, Step::kFail, v1::ORDER_STATE_EXPIRED},
      {"valid in time though we are late", expired_valid, Step::kDownload},
      {"pending without anything to prove", World().Placed().Ca(acme::OrderStatus::kPending),
       Step::kPoll},
  });
}

TEST(DecideTest, ResumesFromWhatIsStored) {
  World parked = World().Placed(v1::ORDER_STATE_PROCESSING);
  *parked.order.mutable_status()->mutable_next_check_time() =
      service::ToProto(kNow + absl::Minutes(5));
  parked.snapshot.next_poll = kNow + absl::Minutes(5);
  World certificate_known = World().Placed(v1::ORDER_STATE_PROCESSING);
  certificate_known.order.mutable_status()->set_certificate_url("https://ca.test/cert/1");
  Check({
      {"ready: the request may have been sent", World().Placed(v1::ORDER_STATE_READY),
       Step::kReadOrder},
      {"processing", World().Placed(v1::ORDER_STATE_PROCESSING), Step::kReadOrder},
      {"processing and not due", parked, Step::kWait},
      {"processing beyond the order's expiry",
       World().Placed(v1::ORDER_STATE_PROCESSING).ExpiresIn(-absl::Hours(1)), Step::kReadOrder},
      {"the certificate is there", certificate_known, Step::kDownload},
      {"authorizations unread", World().Placed().Authorization(""), Step::kReadAuthorizations},
      {"one authorization unread", World().Placed().Authorization("pending").Authorization(""),
       Step::kReadAuthorizations},
      {"no authorizations known", World().Placed(), Step::kReadOrder},
  });
}

TEST(DecideTest, ProvesTheNamesThatAreNotProvenYet) {
  Check({
      {"all valid already", World().Placed().Authorization("valid"), Step::kFinalize},
      {"challenge missing", World().Placed().Authorization("pending"), Step::kCreateChallenges},
      {"one of two missing",
       World().Placed().Authorization("pending").Authorization("pending").Challenge(
           CHALLENGE_STATE_VALID),
       Step::kCreateChallenges},
      {"valid ones need none",
       World().Placed().Authorization("pending").Authorization("valid").Challenge(
           CHALLENGE_STATE_ACCEPTED),
       Step::kWait},
      {"queued", World().Placed().Authorization("pending").Challenge(CHALLENGE_STATE_QUEUED),
       Step::kWait},
      {"proven", World().Placed().Authorization("pending").Challenge(CHALLENGE_STATE_VALID),
       Step::kFinalize},
      {"proven and just read as pending",
       World()
           .Placed()
           .Authorization("pending")
           .Challenge(CHALLENGE_STATE_VALID)
           .Ca(acme::OrderStatus::kPending),
       Step::kFinalize},
  });
}

TEST(DecideTest, WaitsForACaThatHasNotCaughtUpWithItsValidations) {
  World refused = World().Placed().Authorization("pending").Challenge(CHALLENGE_STATE_VALID);
  refused.snapshot.finalize_refused = true;
  World read_pending = refused;
  read_pending.Ca(acme::OrderStatus::kPending);
  World read_ready = refused;
  read_ready.Ca(acme::OrderStatus::kReady);
  World next_pass = World().Placed().Authorization("pending").Challenge(CHALLENGE_STATE_VALID);
  next_pass.snapshot.polls = 3;
  World too_early = next_pass;
  too_early.snapshot.next_poll = kNow + absl::Seconds(1);
  Check({
      {"orderNotReady: read", refused, Step::kReadOrder},
      {"read as pending: poll", read_pending, Step::kPoll},
      {"read as ready: finalize again", read_ready, Step::kFinalize},
      {"in the next pass: read", next_pass, Step::kReadOrder},
      {"before it is due: wait", too_early, Step::kWait},
  });
  EXPECT_EQ(too_early.Decide().wake_at, kNow + absl::Seconds(1));
}

TEST(DecideTest, AsksNoSoonerThanPlannedAboutAnOrderWithNothingToProve) {
  World pending = World().Placed();
  pending.snapshot.polls = 1;
  pending.snapshot.next_poll = kNow + absl::Seconds(2);
  Check({{"before it is due", pending, Step::kWait}});
  EXPECT_EQ(pending.Decide().wake_at, kNow + absl::Seconds(2));
  pending.snapshot.next_poll = kNow;
  Check({{"when it is due", pending, Step::kReadOrder}});
}

TEST(DecideTest, FailsAsTheWorstChallengeDidOnceTheCaWasAsked) {
  const auto two = [](solver::v1::ChallengeState a, solver::v1::ChallengeState b) {
    return World()
        .Placed()
        .Authorization("pending")
        .Authorization("pending")
        .Challenge(a)
        .Challenge(b);
  };
  const auto asked = [&](solver::v1::ChallengeState a, solver::v1::ChallengeState b) {
    return two(a, b).Ca(acme::OrderStatus::kPending);
  };
  Check({
      {"the CA is asked first", two(CHALLENGE_STATE_INVALID, CHALLENGE_STATE_QUEUED),
       Step::kReadOrder},
      {"invalid", asked(CHALLENGE_STATE_INVALID, CHALLENGE_STATE_QUEUED), Step::kFail,
       v1::ORDER_STATE_INVALID},
      {"expired", asked(CHALLENGE_STATE_VALID, CHALLENGE_STATE_EXPIRED), Step::kFail,
       v1::ORDER_STATE_EXPIRED},
      {"errored", asked(CHALLENGE_STATE_ERRORED, CHALLENGE_STATE_EXPIRED), Step::kFail,
       v1::ORDER_STATE_ERRORED},
      {"errored after expired", asked(CHALLENGE_STATE_EXPIRED, CHALLENGE_STATE_ERRORED),
       Step::kFail, v1::ORDER_STATE_ERRORED},
      {"invalid after errored", asked(CHALLENGE_STATE_ERRORED, CHALLENGE_STATE_INVALID),
       Step::kFail, v1::ORDER_STATE_INVALID},
      {"the CA went on all the same",
       two(CHALLENGE_STATE_EXPIRED, CHALLENGE_STATE_VALID).Ca(acme::OrderStatus::kReady),
       Step::kFinalize},
  });
}

// Fault 40.
TEST(DecideTest, FailsForAuthorizationsThatCannotBeProvenAnyMore) {
  for (const char* state : {"invalid", "deactivated", "expired", "revoked"}) {
    Check({{state, World().Placed().Authorization("valid").Authorization(state), Step::kFail,
            v1::ORDER_STATE_INVALID}});
  }
}

TEST(DecideTest, ExpiresWithTheCasOrder) {
  World late = World().Placed().Authorization("pending").Challenge(CHALLENGE_STATE_QUEUED);
  late.ExpiresIn(-absl::Seconds(1));
  World asked = late;
  asked.Ca(acme::OrderStatus::kPending);
  World orphan = late;
  orphan.snapshot.account = absl::NotFoundError("no issuer");
  Check({
      {"the CA has the last word", late, Step::kReadOrder},
      {"still pending", asked, Step::kFail, v1::ORDER_STATE_EXPIRED},
      {"nobody to ask", orphan, Step::kFail, v1::ORDER_STATE_EXPIRED},
  });
  World waiting = World().Placed().Authorization("pending").Challenge(CHALLENGE_STATE_QUEUED);
  EXPECT_EQ(waiting.Decide().wake_at, kNow + absl::Hours(1));
}

TEST(DecideTest, WaitsForTheIssuerWhereItIsNeeded) {
  World unplaced;
  unplaced.snapshot.account = absl::NotFoundError("no issuer");
  World uncreated = World().Placed().Authorization("pending");
  uncreated.snapshot.account = absl::FailedPreconditionError("not ready");
  World running = World().Placed().Authorization("pending").Challenge(CHALLENGE_STATE_QUEUED);
  running.snapshot.account = absl::FailedPreconditionError("not ready");
  Check({
      {"to place", unplaced, Step::kWaitForIssuer},
      {"to choose solvers", uncreated, Step::kWaitForIssuer},
      {"not to wait for challenges", running, Step::kWait},
  });
  EXPECT_EQ(uncreated.Decide().wake_at, kNow + absl::Hours(1));
}

TEST(DecideTest, LeavesTheCaAloneUntilItsRetryTime) {
  World limited;
  limited.snapshot.retry_at = kNow + absl::Minutes(7);
  const Action action = limited.Decide();
  EXPECT_EQ(static_cast<int>(action.step), static_cast<int>(Step::kWait));
  EXPECT_EQ(action.wake_at, kNow + absl::Minutes(7));
  limited.snapshot.retry_at = kNow;
  World unproven = World().Placed().Authorization("pending");
  unproven.snapshot.retry_at = kNow + absl::Minutes(7);
  Check({
      {"when it has come", limited, Step::kPlace},
      {"what does not ask the CA goes on", unproven, Step::kCreateChallenges},
  });
}

TEST(DecideTest, KeepsFinishedOrdersForAWhile) {
  World deleted = World().Placed();
  *deleted.order.mutable_metadata()->mutable_delete_time() = service::ToProto(kNow);
  Check({{"deleted", deleted, Step::kCleanUp}});
  for (const v1::OrderState state : {v1::ORDER_STATE_VALID, v1::ORDER_STATE_INVALID,
                                     v1::ORDER_STATE_EXPIRED, v1::ORDER_STATE_ERRORED}) {
    World finished = World().Placed(state);
    auto& condition = *finished.order.mutable_status()->add_conditions();
    condition.set_type("Ready");
    *condition.mutable_last_transition_time() = service::ToProto(kNow - absl::Hours(23));
    const Action keep = finished.Decide();
    EXPECT_EQ(static_cast<int>(keep.step), static_cast<int>(Step::kWait));
    EXPECT_EQ(keep.wake_at, kNow + absl::Hours(1));
    *condition.mutable_last_transition_time() = service::ToProto(kNow - absl::Hours(24));
    Check({{v1::OrderState_Name(state), finished, Step::kCleanUp}});
  }
}

TEST(DecideTest, CountsTheRetentionOfAFailedOrderFromItsFailure) {
  World failed = World().Placed(v1::ORDER_STATE_INVALID);
  auto& condition = *failed.order.mutable_status()->add_conditions();
  condition.set_type("Ready");
  *condition.mutable_last_transition_time() = service::ToProto(kNow - absl::Hours(48));
  *failed.order.mutable_status()->mutable_failure_time() = service::ToProto(kNow);
  EXPECT_EQ(failed.Decide().wake_at, kNow + absl::Hours(24));
}

absl::Status ProblemOfType(int http_status, const std::string& type,
                           std::optional<absl::Time> retry_at = std::nullopt) {
  acme::Problem problem;
  problem.type = "urn:ietf:params:acme:error:" + type;
  return acme::ProblemStatus(http_status, problem, retry_at, kNow);
}

struct ErrorCase {
  std::string title;
  absl::Status error;
  Step step;
  Recovery expected;
  v1::OrderState failed_state = v1::ORDER_STATE_UNSPECIFIED;
  std::string reason;
};

void CheckErrors(const std::vector<ErrorCase>& cases) {
  for (const ErrorCase& c : cases) {
    SCOPED_TRACE(c.title);
    const ErrorAction action = DecideOnError(c.error, c.step, 0, kNow);
    EXPECT_EQ(static_cast<int>(action.recovery), static_cast<int>(c.expected));
    EXPECT_EQ(action.failed_state, c.failed_state);
    EXPECT_EQ(action.reason, c.reason);
  }
}

// Fault 57.
TEST(DecideOnErrorTest, DoesWhatTheClassOfTheErrorAsksFor) {
  const absl::Status gone = acme::ProblemStatus(404, acme::Problem(), std::nullopt, kNow);
  CheckErrors({
      {"network",
       absl::UnavailableError("x"),
       Step::kPlace,
       Recovery::kBackoff,
       {},
       "ServerUnavailable"},
      {"500",
       ProblemOfType(500, "serverInternal"),
       Step::kFinalize,
       Recovery::kBackoff,
       {},
       "ServerUnavailable"},
      {"rate limit",
       ProblemOfType(429, "rateLimited", kNow + absl::Hours(2)),
       Step::kPlace,
       Recovery::kRetryAt,
       {},
       "RateLimited"},
      {"503 with Retry-After",
       acme::ProblemStatus(503, acme::Problem(), kNow + absl::Minutes(1), kNow),
       Step::kReadOrder,
       Recovery::kRetryAt,
       {},
       "ServerUnavailable"},
      {"orderNotReady",
       ProblemOfType(403, "orderNotReady"),
       Step::kFinalize,
       Recovery::kReadOrder,
       {},
       "ServerUnavailable"},
      {"unauthorized finalize",
       ProblemOfType(403, "unauthorized"),
       Step::kFinalize,
       Recovery::kReadOrder,
       {},
       "ServerUnavailable"},
      {"unauthorized otherwise", ProblemOfType(403, "unauthorized"), Step::kReadOrder,
       Recovery::kFail, v1::ORDER_STATE_ERRORED, "Failed"},
      {"rejectedIdentifier", ProblemOfType(400, "rejectedIdentifier"), Step::kPlace,
       Recovery::kFail, v1::ORDER_STATE_ERRORED, "Failed"},
      {"caa", ProblemOfType(403, "caa"), Step::kFinalize, Recovery::kFail,
       v1::ORDER_STATE_ERRORED, "Failed"},
      {"badCSR", ProblemOfType(400, "badCSR"), Step::kFinalize, Recovery::kFail,
       v1::ORDER_STATE_ERRORED, "Failed"},
      {"invalidProfile", ProblemOfType(400, "invalidProfile"), Step::kPlace, Recovery::kFail,
       v1::ORDER_STATE_ERRORED, "Failed"},
      {"userActionRequired",
       ProblemOfType(403, "userActionRequired"),
       Step::kPlace,
       Recovery::kOperator,
       {},
       "UserActionRequired"},
      {"badPublicKey", ProblemOfType(400, "badPublicKey"), Step::kFinalize, Recovery::kFail,
       v1::ORDER_STATE_ERRORED, "Failed"},
      {"agreementRequired",
       ProblemOfType(403, "agreementRequired"),
       Step::kPlace,
       Recovery::kOperator,
       {},
       "IssuerNotReady"},
      {"externalAccountRequired",
       ProblemOfType(403, "externalAccountRequired"),
       Step::kPlace,
       Recovery::kOperator,
       {},
       "IssuerNotReady"},
      {"accountDoesNotExist",
       ProblemOfType(400, "accountDoesNotExist"),
       Step::kPlace,
       Recovery::kOperator,
       {},
       "AccountDoesNotExist"},
      {"dead order", ProblemOfType(403, "dns"), Step::kReadOrder, Recovery::kFail,
       v1::ORDER_STATE_INVALID, "Failed"},
      {"order forgotten", gone, Step::kReadOrder, Recovery::kFail, v1::ORDER_STATE_INVALID,
       "Failed"},
      {"wrong certificate",
       acme::ErrorWithClass(absl::StatusCode::kFailedPrecondition, "x",
                            acme::ErrorClass::kPermanent),
       Step::kDownload, Recovery::kFail, v1::ORDER_STATE_ERRORED, "Failed"},
      {"certificate not there yet",
       acme::ErrorWithClass(absl::StatusCode::kNotFound, "x", acme::ErrorClass::kRetryBackoff),
       Step::kDownload,
       Recovery::kBackoff,
       {},
       "ServerUnavailable"},
  });
}

TEST(DecideOnErrorTest, OneAnswerMeansAnotherThingAtAnotherStep) {
  const absl::Status gone = acme::ProblemStatus(404, acme::Problem(), std::nullopt, kNow);
  const absl::Status not_ready = ProblemOfType(403, "orderNotReady");
  const absl::Status done = ProblemOfType(400, "alreadyRevoked");
  const v1::OrderState none = v1::ORDER_STATE_UNSPECIFIED;
  const v1::OrderState invalid = v1::ORDER_STATE_INVALID;
  const v1::OrderState errored = v1::ORDER_STATE_ERRORED;
  CheckErrors({
      {"not ready to be read", not_ready, Step::kReadOrder, Recovery::kBackoff, none,
       "ServerUnavailable"},
      {"finalized already", done, Step::kFinalize, Recovery::kReadOrder, none,
       "ServerUnavailable"},
      {"downloaded already", done, Step::kDownload, Recovery::kBackoff, none,
       "ServerUnavailable"},
      {"an authorization is forgotten", gone, Step::kReadAuthorizations, Recovery::kFail,
       invalid, "Failed"},
      {"no newOrder", gone, Step::kPlace, Recovery::kFail, errored, "Failed"},
      {"no finalize", gone, Step::kFinalize, Recovery::kFail, errored, "Failed"},
      {"no certificate", gone, Step::kDownload, Recovery::kFail, errored, "Failed"},
      {"unauthorized to place", ProblemOfType(403, "unauthorized"), Step::kPlace,
       Recovery::kFail, errored, "Failed"},
  });
}

TEST(DecideOnErrorTest, SaysWhenToTryAgain) {
  EXPECT_EQ(DecideOnError(ProblemOfType(429, "rateLimited", kNow + absl::Hours(2)),
                          Step::kPlace, 0, kNow)
                .retry_at,
            kNow + absl::Hours(2));
  EXPECT_EQ(
      DecideOnError(ProblemOfType(403, "userActionRequired"), Step::kPlace, 0, kNow).retry_at,
      kNow + absl::Minutes(10));
  EXPECT_EQ(
      DecideOnError(ProblemOfType(400, "accountDoesNotExist"), Step::kPlace, 0, kNow).retry_at,
      kNow + absl::Minutes(1));
  const absl::Status untimed =
      acme::ErrorWithClass(absl::StatusCode::kUnavailable, "x", acme::ErrorClass::kRetryAt);
  EXPECT_EQ(DecideOnError(untimed, Step::kPlace, 0, kNow).retry_at, kNow + absl::Minutes(1));
  // A time that has passed must not make a busy loop.
  const absl::Time later = kNow + absl::Hours(3);
  EXPECT_EQ(DecideOnError(ProblemOfType(429, "rateLimited", kNow + absl::Hours(2)),
                          Step::kPlace, 0, later)
                .retry_at,
            later + absl::Seconds(1));
}

// Fault 123.
TEST(DecideOnErrorTest, WhatMayHaveMadeAnOrderIsRepeatedFiveTimesInAnHourAtMost) {
  const absl::Status errors[] = {
      http::MarkAsSent(absl::UnavailableError("connection reset")),
      acme::ProblemStatus(504, acme::Problem(), std::nullopt, kNow),
      ProblemOfType(201, "serverInternal"),
  };
  for (const absl::Status& error : errors) {
    SCOPED_TRACE(error);
    EXPECT_TRUE(MayHavePlaced(error));
    absl::Time now = kNow;
    int sent = 1;
    for (int unanswered = 1; now < kNow + absl::Hours(1); ++unanswered) {
      const ErrorAction action = DecideOnError(error, Step::kPlace, unanswered, now);
      ASSERT_EQ(static_cast<int>(action.recovery), static_cast<int>(Recovery::kRetryAt));
      EXPECT_EQ(action.reason, "ServerUnavailable");
      ASSERT_GT(action.retry_at, now);
      EXPECT_LE(action.retry_at, now + (unanswered == 1 ? absl::Seconds(10) : absl::Hours(1)));
      now = action.retry_at;
      if (now < kNow + absl::Hours(1)) ++sent;
    }
    EXPECT_LE(sent, 5);
  }
}

// Fault 123.
TEST(DecideOnErrorTest, WhatHasMadeNoOrderIsRepeatedAsAnyOther) {
  const absl::Status unanswered = http::MarkAsSent(absl::UnavailableError("connection reset"));
  EXPECT_FALSE(MayHavePlaced(absl::UnavailableError("no route")));
  for (const int http_status : {429, 500, 502, 503}) {
    EXPECT_FALSE(
        MayHavePlaced(acme::ProblemStatus(http_status, acme::Problem(), std::nullopt, kNow)));
  }
  EXPECT_EQ(DecideOnError(absl::UnavailableError("no route"), Step::kPlace, 3, kNow).recovery,
            Recovery::kBackoff);
  // Nothing is made by asking again for what is there.
  for (const Step step : {Step::kReadOrder, Step::kReadAuthorizations, Step::kFinalize}) {
    EXPECT_EQ(DecideOnError(unanswered, step, 3, kNow).recovery, Recovery::kBackoff);
  }
  // A CA that wants more time gets it, and one that wants less does not.
  acme::Problem problem;
  EXPECT_EQ(DecideOnError(acme::ProblemStatus(504, problem, kNow + absl::Hours(2), kNow),
                          Step::kPlace, 1, kNow)
                .retry_at,
            kNow + absl::Hours(2));
  EXPECT_GT(DecideOnError(acme::ProblemStatus(504, problem, kNow + absl::Seconds(1), kNow),
                          Step::kPlace, 3, kNow)
                .retry_at,
            kNow + absl::Minutes(5));
}

}  // namespace
}  // namespace certwright::order
