#include "services/issuer/callers.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"

namespace certwright::issuer_service {
namespace {

using base::IsOk;
using base::IsOkAndHolds;
using base::StatusIs;

class CallersTest : public testing::Test {
 protected:
  rpc::CallContext Call(bool authenticated, std::vector<std::string> identities) {
    rpc::Caller caller;
    caller.identities = std::move(identities);
    caller.authenticated = authenticated;
    return {runtime::Context::WithTimeout(clock_, absl::Seconds(1)), std::move(caller)};
  }

  rpc::CallContext CallOf(std::set<rpc::ServiceRole> services) {
    rpc::CallContext call = Call(true, {"a.test"});
    call.caller.services = std::move(services);
    return call;
  }

  base::FakeClock clock_;
};

TEST_F(CallersTest, OnlyOrderAndSolverHaveRequestsSigned) {
  EXPECT_THAT(Callers::SigningCaller(CallOf({rpc::ServiceRole::kOrder})),
              IsOkAndHolds(JwsCaller::kOrder));
  EXPECT_THAT(Callers::SigningCaller(CallOf({rpc::ServiceRole::kSolver})),
              IsOkAndHolds(JwsCaller::kSolver));
  for (const rpc::CallContext& call : {CallOf({}), CallOf({rpc::ServiceRole::kIssuer})}) {
    EXPECT_THAT(Callers::SigningCaller(call), StatusIs(absl::StatusCode::kPermissionDenied));
  }
}

TEST_F(CallersTest, WithoutMutualTlsTheCallerIsUnknown) {
  EXPECT_THAT(Callers::SigningCaller(Call(false, {})), IsOkAndHolds(JwsCaller::kUnknown));
}

meta::v1::IssuerRef Ref(const std::string& name) {
  meta::v1::IssuerRef ref;
  ref.set_name(name);
  return ref;
}

config::v1::Approval TwoApprovers() {
  config::v1::Approval approval;
  approval.add_approvers()->set_identity("boss.test");
  config::v1::Approver& web = *approval.add_approvers();
  web.set_identity("web.test");
  web.add_issuers("web-*");
  web.add_issuers("ClusterIssuer/le");
  return approval;
}

TEST_F(CallersTest, ApproveForTheIssuersThatTheyAreNamedFor) {
  std::vector<std::string> problems;
  const Callers callers(ParseApprovers(TwoApprovers(), problems));
  EXPECT_THAT(problems, testing::IsEmpty());
  EXPECT_THAT(callers.RequireApprover(Call(true, {"boss.test"}), Ref("any")), IsOk());
  EXPECT_THAT(callers.RequireApprover(Call(true, {"x", "web.test"}), Ref("web-1")), IsOk());
  meta::v1::IssuerRef cluster = Ref("le");
  EXPECT_THAT(callers.RequireApprover(Call(true, {"web.test"}), cluster),
              StatusIs(absl::StatusCode::kPermissionDenied));
  cluster.set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  EXPECT_THAT(callers.RequireApprover(Call(true, {"web.test"}), cluster), IsOk());
  for (const std::vector<std::string>& identities : {std::vector<std::string>{}, {"other"}}) {
    EXPECT_THAT(callers.RequireApprover(Call(true, identities), Ref("web-1")),
                StatusIs(absl::StatusCode::kPermissionDenied));
  }
  EXPECT_THAT(callers.RequireApprover(Call(false, {}), Ref("web-1")), IsOk());
}

TEST_F(CallersTest, WithoutApproversEveryoneIsOne) {
  EXPECT_THAT(Callers().RequireApprover(Call(true, {"other"}), Ref("any")), IsOk());
}

TEST_F(CallersTest, ProblemsOfApproversAreAllNamed) {
  config::v1::Approval approval = TwoApprovers();
  approval.mutable_approvers(0)->clear_identity();
  approval.mutable_approvers(1)->add_issuers("a/b");
  std::vector<std::string> problems;
  ParseApprovers(approval, problems);
  EXPECT_THAT(problems, testing::ElementsAre(
                            testing::HasSubstr("approval.approvers[0].identity: is required"),
                            testing::HasSubstr("approval.approvers[1].issuers[2]: must be")));
}

TEST_F(CallersTest, AreCalledByTheFirstIdentity) {
  EXPECT_EQ(Callers::NameOf(Call(true, {"a.test", "b.test"})), "a.test");
  EXPECT_EQ(Callers::NameOf(Call(true, {})), "");
  EXPECT_EQ(Callers::NameOf(Call(false, {"a.test"})), "");
}

}  // namespace
}  // namespace certwright::issuer_service
