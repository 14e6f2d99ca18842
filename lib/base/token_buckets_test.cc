#include "lib/base/token_buckets.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"

namespace certwright::base {
namespace {

int Taken(TokenBuckets& buckets, const std::string& who) {
  int taken = 0;
  while (taken < 1000 && buckets.Take(who) == absl::ZeroDuration()) ++taken;
  return taken;
}

TEST(TokenBucketsTest, ABurstIsThereAndThenTheRate) {
  FakeClock clock;
  TokenBuckets buckets({.per_second = 10, .burst = 20}, clock);
  EXPECT_EQ(Taken(buckets, "a"), 20);
  EXPECT_EQ(buckets.Take("a"), absl::Milliseconds(100));
  EXPECT_EQ(Taken(buckets, "b"), 20);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(Taken(buckets, "a"), 10);
  clock.Advance(absl::Hours(1));
  EXPECT_EQ(Taken(buckets, "a"), 20);
}

TEST(TokenBucketsTest, WhatIsChargedIsOwedUpToABurst) {
  FakeClock clock;
  TokenBuckets buckets({.per_second = 10, .burst = 20}, clock);
  buckets.Charge("a", 25);
  EXPECT_EQ(buckets.Take("a"), absl::Milliseconds(600));
  buckets.Charge("a", 1000);
  EXPECT_EQ(buckets.Take("a"), absl::Milliseconds(2100));
  clock.Advance(absl::Milliseconds(2100));
  EXPECT_EQ(Taken(buckets, "a"), 1);
}

TEST(TokenBucketsTest, WhoHasTakenTheLastTokenOwesNothing) {
  FakeClock clock;
  TokenBuckets buckets({.per_second = 10, .burst = 20}, clock);
  EXPECT_EQ(buckets.Owed("a"), absl::ZeroDuration());
  EXPECT_EQ(Taken(buckets, "a"), 20);
  EXPECT_EQ(buckets.Owed("a"), absl::ZeroDuration());
  buckets.Charge("a", 2);
  EXPECT_EQ(buckets.Owed("a"), absl::Milliseconds(200));
  EXPECT_EQ(buckets.Owed("a"), absl::Milliseconds(200));
  clock.Advance(absl::Milliseconds(200));
  EXPECT_EQ(buckets.Owed("a"), absl::ZeroDuration());
}

TEST(TokenBucketsTest, TheEmptiestAreRemembered) {
  FakeClock clock;
  TokenBuckets buckets({.per_second = 10, .burst = 20, .max_buckets = 3}, clock);
  EXPECT_EQ(Taken(buckets, "busy"), 20);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(buckets.Take(absl::StrCat("other-", i)), absl::ZeroDuration());
  }
  EXPECT_EQ(Taken(buckets, "busy"), 0);
}

}  // namespace
}  // namespace certwright::base
