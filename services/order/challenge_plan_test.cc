#include "services/order/challenge_plan.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/service/challenge_name.h"

namespace certwright::order {
namespace {

using base::StatusIs;
using service::ChallengeName;
using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

constexpr char kToken[] = "abcdefghijklmnopqrstuvwxyz";

v1::Order OrderWith(int authorizations) {
  v1::Order order;
  order.mutable_metadata()->set_namespace_("default");
  order.mutable_metadata()->set_name("o");
  order.mutable_metadata()->set_uid("uid-1");
  for (int i = 0; i < authorizations; ++i) {
    auto& authorization = *order.mutable_status()->add_authorizations();
    authorization.set_url(absl::StrCat("https://ca.test/authz/", i));
    authorization.set_identifier(absl::StrCat("n", i, ".test"));
    authorization.set_initial_state("pending");
    auto& challenge = *authorization.add_challenges();
    challenge.set_type("dns-01");
    challenge.set_url(authorization.url() + "/c");
    challenge.set_token(kToken);
  }
  return order;
}

Solvers DnsSolver() {
  Solvers solvers;
  solvers.Add()->mutable_dns01();
  return solvers;
}

TEST(ChallengeNameTest, DependsOnTheOrdersUidAndTheAuthorization) {
  v1::Order order = OrderWith(2);
  const std::string first = ChallengeName(order, order.status().authorizations(0));
  EXPECT_EQ(ChallengeName(order, order.status().authorizations(0)), first);
  EXPECT_NE(ChallengeName(order, order.status().authorizations(1)), first);
  order.mutable_metadata()->set_uid("uid-2");
  EXPECT_NE(ChallengeName(order, order.status().authorizations(0)), first);
}

TEST(PlanChallengesTest, PlansWhatIsMissing) {
  v1::Order order = OrderWith(3);
  order.mutable_status()->mutable_authorizations(2)->set_initial_state("valid");
  const solver::v1::Challenge present;
  const auto planned =
      PlanChallenges(order, {&present, nullptr, nullptr}, DnsSolver(), "thumb");
  CW_ASSERT_OK(planned);
  ASSERT_THAT(*planned, SizeIs(1));
  EXPECT_EQ(planned->front().spec().dns_name(), "n1.test");
}

TEST(PlanChallengesTest, ExplainsAtMostThreeNamesWithoutSolver) {
  const v1::Order order = OrderWith(5);
  const std::vector<const solver::v1::Challenge*> none(5, nullptr);
  EXPECT_THAT(PlanChallenges(order, none, Solvers(), "thumb"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("n2.test"), testing::Not(HasSubstr("n3.test")),
                             HasSubstr("and no solver for 2 more"))));
}

TEST(MakeChallengeTest, AnHttpChallengeGetsTheKeyAuthorizationItself) {
  v1::Order order = OrderWith(1);
  order.mutable_status()->mutable_authorizations(0)->mutable_challenges(0)->set_type("http-01");
  const auto challenge =
      MakeChallenge(order, order.status().authorizations(0),
                    SolverChoice{"web", solver::v1::CHALLENGE_TYPE_HTTP01}, "thumb");
  CW_ASSERT_OK(challenge);
  EXPECT_EQ(challenge->spec().key(), absl::StrCat(kToken, ".thumb"));
}

TEST(MakeChallengeTest, RefusesATokenThatBreaksTheRule) {
  v1::Order order = OrderWith(1);
  auto& offer = *order.mutable_status()->mutable_authorizations(0)->mutable_challenges(0);
  for (const char* token :
       {"", "short", "../../../etc/passwd-and-more", "abcdefghijklmnopqrstu v"}) {
    offer.set_token(token);
    EXPECT_THAT(MakeChallenge(order, order.status().authorizations(0),
                              SolverChoice{"dns", solver::v1::CHALLENGE_TYPE_DNS01}, "thumb"),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << token;
  }
}

}  // namespace
}  // namespace certwright::order
