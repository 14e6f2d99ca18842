#include "services/issuer/callers.h"

#include <string>
#include <vector>

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
    return {runtime::Context::WithTimeout(clock_, absl::Seconds(1)), std::move(identities),
            authenticated};
  }

  base::FakeClock clock_;
  const Callers callers_{{"order.test"}, {"solver.test", "spiffe://test/solver"}};
};

TEST_F(CallersTest, AreKnownByAnyIdentityOfTheirCertificate) {
  EXPECT_THAT(callers_.SigningCaller(Call(true, {"other.test", "order.test"})),
              IsOkAndHolds(JwsCaller::kOrder));
  EXPECT_THAT(callers_.SigningCaller(Call(true, {"spiffe://test/solver"})),
              IsOkAndHolds(JwsCaller::kSolver));
  EXPECT_THAT(callers_.RequireSolver(Call(true, {"solver.test"})), IsOk());
}

TEST_F(CallersTest, OthersAreRefused) {
  for (const std::vector<std::string>& identities :
       {std::vector<std::string>{}, {"other.test"}, {"ORDER.test.evil"}}) {
    EXPECT_THAT(callers_.SigningCaller(Call(true, identities)),
                StatusIs(absl::StatusCode::kPermissionDenied));
  }
  EXPECT_THAT(callers_.RequireSolver(Call(true, {"order.test"})),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersTest, WithoutMutualTlsTheCallerIsUnknownAndMayResolveSolvers) {
  EXPECT_THAT(callers_.SigningCaller(Call(false, {})), IsOkAndHolds(JwsCaller::kUnknown));
  EXPECT_THAT(callers_.RequireSolver(Call(false, {})), IsOk());
}

}  // namespace
}  // namespace certwright::issuer_service
