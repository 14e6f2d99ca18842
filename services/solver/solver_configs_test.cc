#include "services/solver/solver_configs.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "boost/asio/io_context.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/event.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"

namespace certwright::solver {
namespace {

using base::StatusIs;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::SizeIs;

class SolverConfigsTest : public testing::Test {
 protected:
  runtime::Awaitable<absl::StatusOr<issuer::v1::ResolveSolverResponse>> Fetch(
      runtime::Context context, issuer::v1::ResolveSolverRequest request) {
    ++fetches_;
    last_ = request;
    if (during_fetch_) during_fetch_();
    if (answers_ != nullptr) {
      const std::shared_ptr<runtime::Event> answers = answers_;
      CW_CO_RETURN_IF_ERROR(co_await answers->Wait(timers_, context));
    }
    if (!error_.ok()) co_return error_;
    issuer::v1::ResolveSolverResponse response;
    response.mutable_solver()->set_name(request.solver_name());
    issuer::v1::Credential& credential = *response.add_credentials();
    credential.mutable_ref()->set_name("tsig");
    credential.mutable_ref()->set_key("key");
    credential.set_value("secret");
    co_return response;
  }
  static SolverName Named(const std::string& solver) {
    SolverName name;
    name.issuer_ref.set_name("ca");
    name.resource_namespace = "default";
    name.solver_name = solver;
    return name;
  }
  runtime::Context Soon() const {
    return runtime::Context::WithTimeout(clock_, absl::Seconds(30));
  }
  absl::StatusOr<std::shared_ptr<const SolverConfig>> Resolve(
      const std::string& solver = "dns") {
    return runtime::RunSync(configs_.Resolve(Soon(), Named(solver)));
  }
  // Begins to resolve; what comes of it goes to `answers_got_`.
  void Begin(const runtime::Context& context) {
    runtime::SpawnThen<absl::StatusOr<std::shared_ptr<const SolverConfig>>>(
        loop_.get_executor(), configs_.Resolve(context, Named("dns")),
        [this](const auto& answer) { answers_got_.push_back(answer.status()); });
    Poll();
  }
  void Poll() {
    loop_.restart();
    loop_.poll();
  }
  void HoldAnswers() { answers_ = std::make_shared<runtime::Event>(); }
  void Answer() {
    std::exchange(answers_, nullptr)->Set();
    Poll();
  }

  base::FakeClock clock_;
  runtime::FakeTimers timers_{clock_};
  boost::asio::io_context loop_;
  // Null: calls are answered at once.
  std::shared_ptr<runtime::Event> answers_;
  std::vector<absl::Status> answers_got_;
  int fetches_ = 0;
  absl::Status error_;
  std::function<void()> during_fetch_;
  issuer::v1::ResolveSolverRequest last_;
  CachedSolverConfigs configs_{
      timers_, [this](runtime::Context context, issuer::v1::ResolveSolverRequest request) {
        return Fetch(std::move(context), std::move(request));
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

// Fault 117.
TEST_F(SolverConfigsTest, TheChallengesOfOneOrderCostOneCall) {
  HoldAnswers();
  for (int i = 0; i < 100; ++i) Begin(Soon());
  EXPECT_EQ(fetches_, 1);
  EXPECT_THAT(answers_got_, IsEmpty());
  Answer();
  EXPECT_THAT(answers_got_, ElementsAreArray(std::vector(100, absl::OkStatus())));
  Begin(Soon());
  EXPECT_EQ(fetches_, 1);
}

TEST_F(SolverConfigsTest, AnErrorIsForAllWhoWaitAndIsNotKept) {
  HoldAnswers();
  error_ = absl::NotFoundError("no such solver");
  for (int i = 0; i < 3; ++i) Begin(Soon());
  Answer();
  EXPECT_THAT(answers_got_, ElementsAreArray(std::vector(3, error_)));
  EXPECT_EQ(fetches_, 1);
  error_ = absl::OkStatus();
  CW_EXPECT_OK(Resolve());
  EXPECT_EQ(fetches_, 2);
}

// Fault 117.
TEST_F(SolverConfigsTest, WhoeverGoesAwayLeavesTheOthersACallOfTheirOwn) {
  HoldAnswers();
  const auto cancellation = std::make_shared<runtime::Cancellation>();
  Begin(runtime::Context(clock_, Soon().deadline(), cancellation));
  for (int i = 0; i < 3; ++i) Begin(Soon());
  cancellation->Cancel();
  Poll();
  EXPECT_THAT(answers_got_, ElementsAre(StatusIs(absl::StatusCode::kCancelled)));
  EXPECT_EQ(fetches_, 2);
  Answer();
  EXPECT_THAT(answers_got_, SizeIs(4));
  CW_EXPECT_OK(answers_got_.back());
  EXPECT_EQ(fetches_, 2);
}

// Fault 117.
TEST_F(SolverConfigsTest, WhoeverAsksAfterAChangeGetsNoAnswerFromBeforeIt) {
  HoldAnswers();
  Begin(Soon());
  configs_.Forget("Issuer default/ca");
  Begin(Soon());
  EXPECT_EQ(fetches_, 2);
  Answer();
  EXPECT_THAT(answers_got_, ElementsAre(absl::OkStatus(), absl::OkStatus()));
}

}  // namespace
}  // namespace certwright::solver
