#include "lib/rpc/change_rate.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/rpc/status.h"

namespace certwright::rpc {
namespace {

using ::testing::HasSubstr;

const Permissions::Method kChange{"things.Create", {.effect = Effect::kChanges}};

Caller Known(const std::string& identity) {
  Caller caller;
  caller.authenticated = true;
  caller.identities = {identity};
  return caller;
}

// How many of `tries` calls are admitted.
int Admitted(ChangeRate& rate, const Caller& caller, int tries,
             const Permissions::Method& method = kChange) {
  int admitted = 0;
  for (int i = 0; i < tries; ++i) admitted += rate.Admit(caller, method).ok() ? 1 : 0;
  return admitted;
}

TEST(ChangeRateTest, ABurstIsAdmittedAndThenTheRate) {
  base::FakeClock clock;
  ChangeRate rate({.per_second = 10, .burst = 20}, clock);
  EXPECT_EQ(Admitted(rate, Known("ann"), 100), 20);
  clock.Advance(absl::Milliseconds(100));
  EXPECT_EQ(Admitted(rate, Known("ann"), 100), 1);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(Admitted(rate, Known("ann"), 100), 10);
  clock.Advance(absl::Hours(1));
  EXPECT_EQ(Admitted(rate, Known("ann"), 100), 20);
}

TEST(ChangeRateTest, TheRefusalNamesTheLimitAndWhenToTryAgain) {
  base::FakeClock clock;
  ChangeRate rate({.per_second = 10, .burst = 1}, clock);
  CW_EXPECT_OK(rate.Admit(Known("ann"), kChange));
  const absl::Status refused = rate.Admit(Known("ann"), kChange);
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("ann has made more changes"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("access.changesPerSecond"));
  EXPECT_EQ(RetryAfterOf(refused), absl::Milliseconds(100));
  EXPECT_EQ(ErrorReasonOf(refused), "CHANGE_RATE_EXCEEDED");
  clock.Advance(absl::Milliseconds(100));
  CW_EXPECT_OK(rate.Admit(Known("ann"), kChange));
}

TEST(ChangeRateTest, EachCallerHasItsOwn) {
  base::FakeClock clock;
  ChangeRate rate({.per_second = 10, .burst = 20}, clock);
  EXPECT_EQ(Admitted(rate, Known("ann"), 100), 20);
  EXPECT_EQ(Admitted(rate, Known("bob"), 100), 20);
}

TEST(ChangeRateTest, OneMayHaveARateOfItsOwn) {
  base::FakeClock clock;
  ChangeRate rate({.per_second = 10, .burst = 20, .own = {{"platform", {100, 50}}}}, clock);
  Caller platform = Known("host-7");
  platform.identities.push_back("platform");
  EXPECT_EQ(Admitted(rate, platform, 100), 50);
  EXPECT_EQ(Admitted(rate, Known("platform"), 100), 0);
  EXPECT_THAT(std::string(rate.Admit(platform, kChange).message()), HasSubstr("50 at once"));
  clock.Advance(absl::Milliseconds(100));
  EXPECT_EQ(Admitted(rate, platform, 100), 10);
  EXPECT_EQ(Admitted(rate, Known("host-7"), 100), 20);
}

TEST(ChangeRateTest, MoreTokensAreNotMoreChanges) {
  base::FakeClock clock;
  ChangeRate rate({.per_second = 10, .burst = 20}, clock);
  Caller ann = Known("ann");
  EXPECT_EQ(Admitted(rate, ann, 100), 20);
  ann.identities.push_back("token:ci");
  EXPECT_EQ(Admitted(rate, ann, 100), 0);
}

TEST(ChangeRateTest, ReadsServicesAndThoseNobodyKnowsAreNotCounted) {
  base::FakeClock clock;
  ChangeRate rate({.per_second = 1, .burst = 1}, clock);
  EXPECT_EQ(Admitted(rate, Known("ann"), 100, {"things.Get", {.effect = Effect::kReads}}), 100);
  EXPECT_EQ(
      Admitted(rate, Known("ann"), 100, {"things.Reveal", {.effect = Effect::kReadsSecrets}}),
      100);
  Caller order = Known("order");
  order.services = {ServiceRole::kOrder};
  EXPECT_EQ(Admitted(rate, order, 100), 100);
  EXPECT_EQ(Admitted(rate, Caller(), 100), 100);
}

TEST(ChangeRateTest, RemembersABoundedNumberAndNotTheBusiestLess) {
  base::FakeClock clock;
  ChangeRate rate({.per_second = 10, .burst = 20, .max_identities = 3}, clock);
  EXPECT_EQ(Admitted(rate, Known("busy"), 100), 20);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Admitted(rate, Known(absl::StrCat("other-", i)), 1), 1);
  }
  EXPECT_EQ(Admitted(rate, Known("busy"), 100), 0);
}

}  // namespace
}  // namespace certwright::rpc
