#include "services/solver/solver_configs.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/run_sync.h"

namespace certwright::solver {
namespace {

using base::StatusIs;

class SolverConfigsTest : public testing::Test {
 protected:
  runtime::Awaitable<absl::StatusOr<issuer::v1::ResolveSolverResponse>> Fetch(
      issuer::v1::ResolveSolverRequest request) {
    ++fetches_;
    last_ = request;
    if (during_fetch_) during_fetch_();
    if (!error_.ok()) co_return error_;
    issuer::v1::ResolveSolverResponse response;
    response.mutable_solver()->set_name(request.solver_name());
    issuer::v1::Credential& credential = *response.add_credentials();
    credential.mutable_ref()->set_name("tsig");
    credential.mutable_ref()->set_key("key");
    credential.set_value("secret");
    co_return response;
  }
  absl::StatusOr<std::shared_ptr<const SolverConfig>> Resolve(
      const std::string& solver = "dns") {
    SolverName name;
    name.issuer_ref.set_name("ca");
    name.resource_namespace = "default";
    name.solver_name = solver;
    return runtime::RunSync(
        configs_.Resolve(runtime::Context::WithTimeout(clock_, absl::Seconds(30)), name));
  }

  base::FakeClock clock_;
  int fetches_ = 0;
  absl::Status error_;
  std::function<void()> during_fetch_;
  issuer::v1::ResolveSolverRequest last_;
  CachedSolverConfigs configs_{
      clock_, [this](runtime::Context, issuer::v1::ResolveSolverRequest request) {
        return Fetch(std::move(request));
      }};
};

TEST_F(SolverConfigsTest, CarriesTheCredentials) {
  CW_ASSERT_OK_AND_ASSIGN(const auto config, Resolve());
  EXPECT_EQ(config->solver.name(), "dns");
  meta::v1::SecretKeyRef ref;
  ref.set_name("tsig");
  ref.set_key("key");
  ASSERT_NE(config->Find(ref), nullptr);
  EXPECT_EQ(config->Find(ref)->Reveal(), "secret");
  ref.set_key("other");
  EXPECT_EQ(config->Find(ref), nullptr);
  EXPECT_EQ(last_.namespace_(), "default");
  EXPECT_EQ(last_.issuer_ref().name(), "ca");
}

TEST_F(SolverConfigsTest, IsUsedAgainForHalfAMinute) {
  CW_ASSERT_OK(Resolve());
  clock_.Advance(absl::Seconds(29));
  CW_ASSERT_OK(Resolve());
  EXPECT_EQ(fetches_, 1);
  CW_ASSERT_OK(Resolve("other"));
  EXPECT_EQ(fetches_, 2);
  clock_.Advance(absl::Seconds(1));
  CW_ASSERT_OK(Resolve());
  EXPECT_EQ(fetches_, 3);
}

TEST_F(SolverConfigsTest, AChangedIssuerIsAskedAgain) {
  CW_ASSERT_OK(Resolve());
  configs_.Forget("Issuer default/another");
  CW_ASSERT_OK(Resolve());
  EXPECT_EQ(fetches_, 1);
  configs_.Forget("Issuer default/ca");
  CW_ASSERT_OK(Resolve());
  EXPECT_EQ(fetches_, 2);
}

TEST_F(SolverConfigsTest, AnAnswerFromBeforeAChangeIsNotKept) {
  during_fetch_ = [this] { configs_.Forget("Issuer default/ca"); };
  CW_ASSERT_OK(Resolve());
  during_fetch_ = nullptr;
  CW_ASSERT_OK(Resolve());
  EXPECT_EQ(fetches_, 2);
}

TEST_F(SolverConfigsTest, ErrorsAreNotKept) {
  error_ = absl::NotFoundError("no such solver");
  EXPECT_THAT(Resolve(), StatusIs(absl::StatusCode::kNotFound));
  error_ = absl::OkStatus();
  CW_EXPECT_OK(Resolve());
}

}  // namespace
}  // namespace certwright::solver
