#include "lib/rpc/call_rate.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/rpc/status.h"

namespace certwright::rpc {
namespace {

using ::testing::HasSubstr;

Caller Known(const std::string& identity) {
  Caller caller;
  caller.authenticated = true;
  caller.identities = {identity};
  return caller;
}

int Admitted(CallRate& rate, const Caller& caller) {
  int admitted = 0;
  for (int i = 0; i < 100; ++i) admitted += rate.Admit(caller).ok() ? 1 : 0;
  return admitted;
}

TEST(CallRateTest, ABurstIsAdmittedAndThenTheRate) {
  base::FakeClock clock;
  CallRate rate({.per_second = 10, .burst = 20}, clock);
  EXPECT_EQ(Admitted(rate, Known("ann")), 20);
  EXPECT_EQ(Admitted(rate, Known("bob")), 20);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(Admitted(rate, Known("ann")), 10);
}

TEST(CallRateTest, LargeAnswersAreOwedFor) {
  base::FakeClock clock;
  CallRate rate({.per_second = 10, .burst = 50}, clock);
  CW_EXPECT_OK(rate.Admit(Known("ann")));
  EXPECT_EQ(rate.Charge(Known("ann"), (1 << 20) + 5), 5u);  // 64 tokens, where 49 are left
  clock.Advance(absl::Seconds(1));
  const absl::Status refused = rate.Admit(Known("ann"));
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("ann has made more calls"), HasSubstr("access.callsPerSecond")));
  EXPECT_EQ(RetryAfterOf(refused), absl::Milliseconds(600));
  EXPECT_EQ(ErrorReasonOf(refused), "CALL_RATE_EXCEEDED");
  clock.Advance(absl::Milliseconds(600));
  CW_EXPECT_OK(rate.Admit(Known("ann")));
}

TEST(CallRateTest, WhoeverWasAdmittedWithTheLastTokenMayBegin) {
  base::FakeClock clock;
  CallRate rate({.per_second = 10, .burst = 20}, clock);
  EXPECT_EQ(Admitted(rate, Known("ann")), 20);
  CW_EXPECT_OK(rate.CheckOwed(Known("ann")));
  EXPECT_EQ(rate.Owed(Known("ann")), absl::ZeroDuration());
  rate.Charge(Known("ann"), 32 << 10);
  EXPECT_TRUE(absl::IsResourceExhausted(rate.CheckOwed(Known("ann"))));
  EXPECT_EQ(rate.Owed(Known("ann")), absl::Milliseconds(200));
  CW_EXPECT_OK(rate.CheckOwed(Known("bob")));
}

TEST(CallRateTest, NobodyOwesMoreThanABurst) {
  base::FakeClock clock;
  CallRate rate({.per_second = 10, .burst = 50}, clock);
  rate.Charge(Known("ann"), std::size_t{1} << 30);
  clock.Advance(absl::Seconds(5));
  EXPECT_TRUE(absl::IsResourceExhausted(rate.Admit(Known("ann"))));
  clock.Advance(absl::Seconds(1));
  CW_EXPECT_OK(rate.Admit(Known("ann")));
}

TEST(CallRateTest, SmallAnswersServicesAndThoseNobodyKnowsAreNotCounted) {
  base::FakeClock clock;
  CallRate rate({.per_second = 1, .burst = 1}, clock);
  EXPECT_EQ(rate.Charge(Known("ann"), 16'000), 16'000u);
  CW_EXPECT_OK(rate.Admit(Known("ann")));
  Caller order = Known("order");
  order.services = {ServiceRole::kOrder};
  EXPECT_EQ(Admitted(rate, order), 100);
  EXPECT_EQ(Admitted(rate, Caller()), 100);
}

}  // namespace
}  // namespace certwright::rpc
