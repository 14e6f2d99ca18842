#include "services/order/order_report.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/service/conditions.h"

namespace certwright::order {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1767323045);

v1::Order OrderFor(int names) {
  v1::Order order;
  for (int i = 0; i < names; ++i) {
    auto& authorization = *order.mutable_status()->add_authorizations();
    authorization.set_url(absl::StrCat("https://ca.test/authz/", i));
    authorization.set_identifier(absl::StrCat("n", i, ".test"));
    authorization.set_initial_state("pending");
  }
  return order;
}

acme::Problem DnsProblem(const std::string& detail) {
  acme::Problem problem;
  problem.type = "urn:ietf:params:acme:error:dns";
  problem.detail = detail;
  return problem;
}

TEST(DescribePendingTest, ShowsAtMostTenNames) {
  const v1::Order order = OrderFor(12);
  const std::vector<const solver::v1::Challenge*> none(12, nullptr);
  const std::string text = DescribePending(order, none);
  EXPECT_THAT(text, HasSubstr("12 of 12 challenges are not valid yet: n0.test"));
  EXPECT_THAT(text, HasSubstr("and 2 more"));
}

TEST(DescribePendingTest, SaysTheStateWhereTheSolverGivesNoReason) {
  const v1::Order order = OrderFor(1);
  solver::v1::Challenge challenge;
  challenge.mutable_spec()->set_type(solver::v1::CHALLENGE_TYPE_HTTP01);
  challenge.mutable_status()->set_state(solver::v1::CHALLENGE_STATE_ACCEPTED);
  EXPECT_EQ(DescribePending(order, {&challenge}),
            "1 of 1 challenge is not valid yet: n0.test (HTTP01): the CA is looking at it");
}

// Fault 54.
TEST(AddProblemTest, NamesThePartsThatNameAnIdentifier) {
  acme::Problem problem;
  problem.type = "urn:ietf:params:acme:error:rejectedIdentifier";
  problem.detail = "some names";
  problem.subproblems = {
      {"urn:ietf:params:acme:error:caa", "CAA forbids", acme::DnsIdentifier("a.test")},
      {"urn:ietf:params:acme:error:malformed", "no one's", std::nullopt}};
  Failures failures;
  AddProblem(problem, "", failures);
  ASSERT_THAT(failures, SizeIs(1));
  EXPECT_EQ(failures[0].identifier(), "a.test");
  EXPECT_EQ(failures[0].type(), "caa");
  EXPECT_EQ(failures[0].detail(), "CAA forbids");
}

TEST(CollectFailuresTest, PrefersTheWordOfTheCaToThatOfTheSolver) {
  const v1::Order order = OrderFor(2);
  acme::Authorization refused;
  refused.url = order.status().authorizations(0).url();
  refused.identifier = acme::DnsIdentifier("n0.test");
  refused.status = acme::AuthorizationStatus::kInvalid;
  refused.challenges.emplace_back();
  refused.challenges[0].status = acme::ChallengeStatus::kInvalid;
  refused.challenges[0].error = DnsProblem("NXDOMAIN");
  solver::v1::Challenge first;
  first.mutable_status()->set_state(solver::v1::CHALLENGE_STATE_INVALID);
  first.mutable_status()->set_reason("the CA refused it");
  solver::v1::Challenge second;
  second.mutable_status()->set_state(solver::v1::CHALLENGE_STATE_ERRORED);
  second.mutable_status()->set_reason("no such zone");
  const Failures failures = CollectFailures(order, nullptr, {refused}, {&first, &second});
  EXPECT_EQ(DescribeFailures(failures), "n0.test (dns): NXDOMAIN; n1.test: no such zone");
}

TEST(CollectFailuresTest, TakesTheOrdersOwnErrorWhereThereIsNoOther) {
  const v1::Order order = OrderFor(1);
  acme::Order ca_order;
  ca_order.error = DnsProblem("all is lost");
  const Failures failures = CollectFailures(order, &ca_order, {}, {nullptr});
  EXPECT_EQ(DescribeFailures(failures), "(dns): all is lost");
}

// Fault 40.
TEST(CollectFailuresTest, SaysWhatTheCaCallsADeadAuthorization) {
  const v1::Order order = OrderFor(1);
  acme::Authorization authorization;
  authorization.url = order.status().authorizations(0).url();
  authorization.identifier = acme::DnsIdentifier("n0.test");
  authorization.wildcard = true;
  authorization.status = acme::AuthorizationStatus::kDeactivated;
  const Failures failures = CollectFailures(order, nullptr, {authorization}, {nullptr});
  EXPECT_EQ(DescribeFailures(failures),
            "*.n0.test: the CA calls the authorization deactivated");
}

TEST(SetFailedTest, SetsAllThatBelongsToAFailure) {
  v1::Order order = OrderFor(1);
  order.mutable_status()->mutable_retry_time()->set_seconds(1);
  Failures failures;
  AddProblem(DnsProblem("x"), "a.test", failures);
  SetFailed(order, v1::ORDER_STATE_INVALID, "", failures, kNow);
  EXPECT_EQ(order.status().state(), v1::ORDER_STATE_INVALID);
  EXPECT_EQ(order.status().reason(), "The order was refused: a.test (dns): x.");
  EXPECT_EQ(service::FromProto(order.status().failure_time()), kNow);
  EXPECT_FALSE(order.status().has_retry_time());
  EXPECT_EQ(service::FindCondition(order.status().conditions(), "Ready")->reason(), "Failed");
}

}  // namespace
}  // namespace certwright::order
