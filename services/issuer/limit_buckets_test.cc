#include "services/issuer/limit_buckets.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

using Outcome = LimitBuckets::Outcome;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr Limit kThreeAMinute{3, absl::Minutes(1)};
const absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);

const Draw kOrders{"orders account", kThreeAMinute};
const Draw kDomain{"domain ca example.com", {2, absl::Hours(2)}};
const Draw kOtherDomain{"domain ca example.org", {2, absl::Hours(2)}};
const Draw kFailures{"failures account a.example.com", {2, absl::Hours(1)}};

class LimitBucketsTest : public testing::Test {
 protected:
  LimitBuckets::Turn Ask(const std::string& uid, absl::Duration needed_in = absl::Hours(1),
                         const std::vector<Draw>& draws = {kOrders}) {
    return buckets_.Ask({uid, "web/" + uid, kStart + needed_in}, draws, now_);
  }
  // Asks, and has the order placed at once.
  bool Place(const std::string& uid, const std::vector<Draw>& draws = {kOrders}) {
    const bool now = Ask(uid, absl::Hours(1), draws).now;
    if (now) buckets_.Placed(uid, now_);
    return now;
  }
  void End(const std::string& uid, Outcome outcome, const std::set<std::string>& failed = {}) {
    woken_ = buckets_.End(uid, outcome, failed, now_);
  }
  // Lets everyone in `waiting` ask again and again; in the order in which they get their turn.
  std::vector<std::string> Serve(std::vector<std::pair<std::string, absl::Duration>> waiting) {
    std::vector<std::string> served;
    while (!waiting.empty()) {
      absl::Time next = absl::InfiniteFuture();
      for (std::size_t i = 0; i < waiting.size();) {
        const LimitBuckets::Turn turn = Ask(waiting[i].first, waiting[i].second);
        if (turn.now) {
          buckets_.Placed(waiting[i].first, now_);
          served.push_back(waiting[i].first);
          waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
        } else {
          next = std::min(next, turn.again);
          ++i;
        }
      }
      if (next != absl::InfiniteFuture()) now_ = next;
    }
    return served;
  }

  LimitBuckets buckets_;
  absl::Time now_ = kStart;
  std::vector<std::string> woken_;
};

TEST_F(LimitBucketsTest, WithoutLimitEveryoneGoesAtOnce) {
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(Ask(absl::StrCat(i), absl::Hours(1), {{"orders account", {}}}).now);
  }
}

TEST_F(LimitBucketsTest, FirstTheLimitAtOnceThenOneAtATime) {
  for (const char* uid : {"a", "b", "c"}) EXPECT_TRUE(Place(uid));
  const LimitBuckets::Turn turn = Ask("d");
  EXPECT_FALSE(turn.now);
  EXPECT_EQ(turn.again, kStart + absl::Seconds(20));
  EXPECT_EQ(turn.expected, turn.again);
  EXPECT_EQ(turn.waits_for, kOrders);
  EXPECT_EQ(turn.before, 0);
  EXPECT_FALSE(turn.closed);
  now_ = turn.again - absl::Nanoseconds(1);
  EXPECT_FALSE(Ask("d").now);
  now_ = turn.again;
  EXPECT_TRUE(Place("d"));
  EXPECT_FALSE(Ask("e").now);
}

// Fault 94.
TEST_F(LimitBucketsTest, WhoseCertificateEndsFirstGoesFirst) {
  for (const char* uid : {"x", "y", "z"}) Place(uid);
  EXPECT_THAT(Serve({{"late", absl::Hours(90)},
                     {"soon", absl::Hours(2)},
                     {"sooner", absl::Hours(1)},
                     {"latest", absl::Hours(99)}}),
              ElementsAre("sooner", "soon", "late", "latest"));
  EXPECT_EQ(now_, kStart + absl::Seconds(80));
}

TEST_F(LimitBucketsTest, ThoseWhoGiveUpAreNotWaitedFor) {
  for (const char* uid : {"x", "y", "z"}) Place(uid);
  Ask("gone", absl::Hours(1));
  EXPECT_EQ(Ask("waiting", absl::Hours(2)).before, 1);
  End("gone", Outcome::kFailed);
  EXPECT_EQ(Ask("waiting", absl::Hours(2)).before, 0);
  now_ += absl::Seconds(20);
  EXPECT_TRUE(Ask("waiting", absl::Hours(2)).now);
}

TEST_F(LimitBucketsTest, ATurnIsKeptUntilTheOrderEnds) {
  for (const char* uid : {"x", "y", "z"}) Place(uid);
  EXPECT_TRUE(Ask("z").now);
  End("z", Outcome::kFailed);
  // The order counts although it failed, and the next one asks anew.
  EXPECT_FALSE(Ask("another").now);
}

TEST_F(LimitBucketsTest, AnOrderCountsFromWhenItIsPlaced) {
  for (const char* uid : {"x", "y", "z"}) EXPECT_TRUE(Ask(uid).now);
  // Nothing is given back for orders that the CA has not even seen.
  now_ += absl::Hours(5);
  EXPECT_FALSE(Ask("d").now);
  for (const char* uid : {"x", "y", "z"}) buckets_.Placed(uid, now_);
  now_ += absl::Seconds(20);
  EXPECT_TRUE(Ask("d").now);
}

TEST_F(LimitBucketsTest, ACertificateCountsFromWhenItIsIssued) {
  for (const char* uid : {"a", "b"}) EXPECT_TRUE(Place(uid, {kDomain}));
  now_ += absl::Hours(100);
  EXPECT_FALSE(Ask("c", absl::Hours(1), {kDomain}).now);
  for (const char* uid : {"a", "b"}) End(uid, Outcome::kIssued);
  EXPECT_THAT(woken_, IsEmpty());
  now_ += absl::Hours(1);
  EXPECT_TRUE(Ask("c", absl::Hours(1), {kDomain}).now);
}

TEST_F(LimitBucketsTest, AFailedOrderTakesNoCertificateAndLetsTheNextOneGoOn) {
  for (const char* uid : {"a", "b"}) EXPECT_TRUE(Place(uid, {kDomain}));
  EXPECT_FALSE(Ask("late", absl::Hours(9), {kDomain}).now);
  EXPECT_FALSE(Ask("soon", absl::Hours(1), {kDomain}).now);
  End("a", Outcome::kFailed);
  EXPECT_THAT(woken_, ElementsAre("web/soon"));
  EXPECT_FALSE(Ask("late", absl::Hours(9), {kDomain}).now);
  EXPECT_TRUE(Ask("soon", absl::Hours(1), {kDomain}).now);
}

TEST_F(LimitBucketsTest, WhoWaitsForOneBucketHoldsUpNobodyInAnother) {
  for (const char* uid : {"a", "b"}) EXPECT_TRUE(Place(uid, {kDomain}));
  // It is the first in the queue of its domain, and in none for the account's last order.
  const LimitBuckets::Turn turn = Ask("full", absl::Minutes(1), {kOrders, kDomain});
  EXPECT_FALSE(turn.now);
  EXPECT_EQ(turn.waits_for, kDomain);
  for (const char* uid : {"c", "d"}) EXPECT_TRUE(Place(uid, {kOrders, kOtherDomain})) << uid;
  EXPECT_TRUE(Place("e", {kOrders}));
}

TEST_F(LimitBucketsTest, OneThatGoesTakesFromAllItsBuckets) {
  for (const char* uid : {"a", "b"}) EXPECT_TRUE(Place(uid, {kOrders, kDomain, kOtherDomain}));
  EXPECT_TRUE(Place("c", {kOrders}));
  EXPECT_FALSE(Ask("d", absl::Hours(1), {kOtherDomain}).now);
  EXPECT_FALSE(Ask("e").now);
}

TEST_F(LimitBucketsTest, NoHourHoldsMoreFailedValidationsThanTheLimit) {
  for (const char* uid : {"a", "b"}) {
    EXPECT_TRUE(Place(uid, {kFailures}));
    End(uid, Outcome::kFailed, {kFailures.bucket});
    now_ += absl::Minutes(10);
  }
  // The first one counts for the whole hour, then the second.
  const LimitBuckets::Turn turn = Ask("c", absl::Hours(1), {kFailures});
  EXPECT_FALSE(turn.now);
  EXPECT_EQ(turn.expected, kStart + absl::Hours(1));
  now_ = turn.expected;
  EXPECT_TRUE(Place("c", {kFailures}));
  EXPECT_FALSE(Ask("d", absl::Hours(1), {kFailures}).now);
  End("c", Outcome::kFailed, {kFailures.bucket});
  EXPECT_EQ(Ask("d", absl::Hours(1), {kFailures}).expected,
            kStart + absl::Minutes(10) + absl::Hours(1));
}

TEST_F(LimitBucketsTest, WhatDidNotFailIsNoFailedValidation) {
  for (int i = 0; i < 20; ++i) {
    const std::string uid = absl::StrCat(i);
    EXPECT_TRUE(Place(uid, {kFailures}));
    End(uid, i % 2 == 0 ? Outcome::kIssued : Outcome::kFailed, {"failures account other"});
  }
}

TEST_F(LimitBucketsTest, AClosedBucketLetsNobodyPassBeforeItsTimeWithOrWithoutLimit) {
  for (const Draw& draw : {kDomain, Draw{"domain ca example.net", {}}}) {
    EXPECT_TRUE(Ask("first " + draw.bucket, absl::Hours(1), {draw}).now);
    buckets_.Close("first " + draw.bucket, draw.bucket, kStart + absl::Hours(5));
    EXPECT_TRUE(buckets_.AnyClosed(now_));
    const LimitBuckets::Turn turn = Ask("next " + draw.bucket, absl::Hours(1), {draw});
    EXPECT_FALSE(turn.now);
    EXPECT_TRUE(turn.closed);
    EXPECT_EQ(turn.expected, kStart + absl::Hours(5));
    // It looks again before, since plans change.
    EXPECT_EQ(turn.again, kStart + absl::Hours(1));
  }
  EXPECT_TRUE(Ask("other", absl::Hours(1), {kOtherDomain}).now);
  now_ = kStart + absl::Hours(5);
  EXPECT_FALSE(buckets_.AnyClosed(now_));
  EXPECT_TRUE(Ask("next", absl::Hours(1), {{"domain ca example.net", {}}}).now);
}

TEST_F(LimitBucketsTest, AChangedLimitCountsFromThenOn) {
  for (const char* uid : {"x", "y", "z"}) Place(uid);
  EXPECT_FALSE(Ask("a").now);
  EXPECT_TRUE(Ask("a", absl::Hours(1), {{kOrders.bucket, {10, absl::Minutes(1)}}}).now);
  // Two issuers with limits of their own do not fill the bucket by taking turns.
  EXPECT_FALSE(Ask("b").now);
  EXPECT_FALSE(Ask("b", absl::Hours(1), {{kOrders.bucket, {4, absl::Minutes(1)}}}).now);
}

TEST_F(LimitBucketsTest, AClockThatIsSetBackKeepsNobodyWaitingForLongerThanAWindow) {
  const Draw closed{"domain ca example.net", {}};
  for (const char* uid : {"a", "b"}) {
    EXPECT_TRUE(Place(uid, {kDomain, kFailures}));
    End(uid, Outcome::kIssued, {kFailures.bucket});
  }
  EXPECT_TRUE(Ask("c", absl::Hours(1), {closed}).now);
  buckets_.Close("c", closed.bucket, now_ + absl::Hours(5));
  now_ -= absl::Hours(10'000);
  EXPECT_EQ(Ask("d", absl::Hours(1), {kDomain}).expected, now_ + absl::Hours(1));
  EXPECT_EQ(Ask("d", absl::Hours(1), {kFailures}).expected, now_ + absl::Hours(1));
  EXPECT_EQ(Ask("d", absl::Hours(1), {closed}).expected, now_ + absl::Hours(168));
  now_ += absl::Hours(1);
  EXPECT_TRUE(Ask("e", absl::Hours(1), {kDomain, kFailures}).now);
}

TEST_F(LimitBucketsTest, WhatIsKeptTakesUpWhereItWas) {
  EXPECT_TRUE(Place("issued", {kOrders, kDomain, kFailures}));
  End("issued", Outcome::kIssued);
  EXPECT_TRUE(Place("failed", {kOrders, kDomain, kFailures}));
  End("failed", Outcome::kFailed, {kFailures.bucket});
  EXPECT_TRUE(Ask("on its way", absl::Hours(1), {kOrders, kDomain, kFailures}).now);
  buckets_.Close("failed", kOtherDomain.bucket, kStart + absl::Hours(5));

  LimitBuckets later;
  for (const char* uid : {"issued", "failed", "on its way"}) {
    later.Restore(uid, buckets_.RecordOf(uid), now_);
  }
  for (LimitBuckets* buckets : {&buckets_, &later}) {
    EXPECT_TRUE(buckets->Ask({"on its way", "", kStart}, {kDomain}, now_).now);
    for (const Draw& draw : {kOrders, kDomain, kOtherDomain, kFailures}) {
      const LimitBuckets::Turn turn = buckets->Ask({"next", "", kStart}, {draw}, now_);
      EXPECT_FALSE(turn.now) << draw.bucket;
      EXPECT_EQ(turn.expected, buckets_.Ask({"next", "", kStart}, {draw}, now_).expected);
    }
    EXPECT_TRUE(buckets->AnyClosed(now_));
  }
}

TEST_F(LimitBucketsTest, ForgetsWhatCountsNoMore) {
  EXPECT_TRUE(Place("a"));
  EXPECT_TRUE(Place("b"));
  End("a", Outcome::kIssued);
  EXPECT_THAT(buckets_.ForgetOver(10, now_), IsEmpty());
  now_ += absl::Hours(1);
  EXPECT_THAT(buckets_.ForgetOver(10, now_), ElementsAre("a"));
  EXPECT_EQ(buckets_.RecordOf("a").uses_size(), 0);
  EXPECT_EQ(buckets_.RecordOf("b").uses_size(), 1);
}

TEST_F(LimitBucketsTest, KeepsAUseWhoseBucketWasClosedAgainForLonger) {
  EXPECT_TRUE(Place("a"));
  buckets_.Close("a", kDomain.bucket, kStart + absl::Hours(1));
  buckets_.Close("a", kDomain.bucket, kStart + absl::Hours(5));
  for (const int hours : {1, 3}) {
    now_ = kStart + absl::Hours(hours);
    EXPECT_THAT(buckets_.ForgetOver(10, now_), IsEmpty());
    EXPECT_EQ(buckets_.RecordOf("a").uses_size(), 2);
  }
  now_ = kStart + absl::Hours(5);
  EXPECT_THAT(buckets_.ForgetOver(10, now_), ElementsAre("a"));
}

TEST_F(LimitBucketsTest, ForgetsNoMoreAtOnceThanIsAskedFor) {
  for (const char* uid : {"a", "b", "c"}) {
    EXPECT_TRUE(Place(uid));
    End(uid, Outcome::kIssued);
  }
  now_ += absl::Hours(1);
  EXPECT_THAT(buckets_.ForgetOver(2, now_), testing::SizeIs(2));
  EXPECT_THAT(buckets_.ForgetOver(2, now_), testing::SizeIs(1));
  EXPECT_THAT(buckets_.ForgetOver(2, now_), IsEmpty());
}

TEST_F(LimitBucketsTest, NeverMoreThanTheLimitAndWhatIsGivenBack) {
  std::vector<std::pair<std::string, absl::Duration>> waiting;
  for (int i = 0; i < 200; ++i) waiting.emplace_back(absl::StrCat("r", i), absl::Hours(i % 17));
  Serve(waiting);
  EXPECT_GE(now_ - kStart, absl::Seconds(20) * 197 - absl::Milliseconds(1));
  EXPECT_LE(now_ - kStart, absl::Seconds(20) * 198);
}

// Each look at an order that is placed tells so once more.
TEST_F(LimitBucketsTest, AnOrderCountsOnceHoweverOftenItIsCalledPlaced) {
  for (const char* uid : {"x", "y", "z"}) EXPECT_TRUE(Place(uid));
  for (int i = 0; i < 5; ++i) buckets_.Placed("x", now_);
  now_ += absl::Seconds(20);
  EXPECT_TRUE(Ask("d").now);
}

TEST_F(LimitBucketsTest, AClosedBucketIsOpenedByNobody) {
  const Draw draw{"domain ca example.net", {}};
  EXPECT_TRUE(Ask("a", absl::Hours(1), {draw}).now);
  buckets_.Close("a", draw.bucket, kStart + absl::Hours(5));
  // Another request is told of an earlier end.
  buckets_.Close("b", draw.bucket, kStart + absl::Hours(1));
  now_ = kStart + absl::Hours(2);
  EXPECT_TRUE(buckets_.AnyClosed(now_));
  // To have been told is no turn.
  for (const char* uid : {"a", "b", "c"}) {
    const LimitBuckets::Turn turn = Ask(uid, absl::Hours(1), {draw});
    EXPECT_FALSE(turn.now) << uid;
    EXPECT_EQ(turn.expected, kStart + absl::Hours(5)) << uid;
  }
}

TEST_F(LimitBucketsTest, WhatCountsIsKeptHoweverManyBucketsThereAre) {
  const Draw held{"domain ca held.example", {1, absl::Hours(1)}};
  const Draw closed{"domain ca closed.example", {}};
  EXPECT_TRUE(Ask("holder", absl::Hours(1), {held}).now);
  for (const char* uid : {"x", "y", "z"}) EXPECT_TRUE(Place(uid));
  for (const char* uid : {"a", "b"}) {
    EXPECT_TRUE(Place(uid, {kFailures}));
    End(uid, Outcome::kFailed, {kFailures.bucket});
  }
  buckets_.Close("holder", closed.bucket, kStart + absl::Hours(5));
  for (int i = 0; i < 1200; ++i) {
    const Draw other{absl::StrCat("domain ca ", i), {1, absl::Hours(1)}};
    EXPECT_TRUE(Ask(absl::StrCat("other-", i), absl::Hours(1), {other}).now);
  }
  for (const Draw& draw : {held, kOrders, kFailures, closed}) {
    EXPECT_FALSE(Ask("next", absl::Hours(1), {draw}).now) << draw.bucket;
  }
}

}  // namespace
}  // namespace certwright::issuer_service
