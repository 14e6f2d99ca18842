#include "services/solver/scheduler.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::solver {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

absl::Time At(int second) { return absl::FromUnixSeconds(second); }

Candidate Make(const std::string& key, int deadline = 1, const std::string& issuer = "i",
               const std::string& account = "", const std::string& exclusion = "") {
  Candidate candidate;
  candidate.key = key;
  candidate.issuer = issuer;
  candidate.account = account;
  candidate.exclusion = exclusion;
  candidate.deadline = At(deadline);
  return candidate;
}

class SchedulerTest : public testing::Test {
 protected:
  Scheduler With(int total, int per_issuer = 100, int per_account = 100) {
    return Scheduler(Scheduler::Limits{total, per_issuer, per_account},
                     [this](const std::string& key) { woken_.push_back(key); });
  }
  // Whose turn it was since the last call.
  std::vector<std::string> Woken() { return std::exchange(woken_, {}); }

  std::vector<std::string> woken_;
};

TEST_F(SchedulerTest, BelowTheLimitsASlotIsGivenAtOnce) {
  Scheduler scheduler = With(2);
  EXPECT_TRUE(scheduler.TryAcquire(Make("a")));
  EXPECT_TRUE(scheduler.TryAcquire(Make("b")));
  EXPECT_FALSE(scheduler.TryAcquire(Make("c")));
  EXPECT_EQ(scheduler.in_flight(), 2);
  EXPECT_EQ(scheduler.queued(), 1);
  EXPECT_THAT(Woken(), IsEmpty());
}

TEST_F(SchedulerTest, AskingAgainChangesNothing) {
  Scheduler scheduler = With(1);
  EXPECT_TRUE(scheduler.TryAcquire(Make("a")));
  EXPECT_TRUE(scheduler.TryAcquire(Make("a")));
  EXPECT_FALSE(scheduler.TryAcquire(Make("b")));
  EXPECT_FALSE(scheduler.TryAcquire(Make("b")));
  EXPECT_EQ(scheduler.in_flight(), 1);
  EXPECT_EQ(scheduler.queued(), 1);
}

TEST_F(SchedulerTest, AFreedSlotIsGivenToWhoIsWokenForIt) {
  Scheduler scheduler = With(1);
  scheduler.TryAcquire(Make("a"));
  scheduler.TryAcquire(Make("b"));
  scheduler.Release("a");
  EXPECT_THAT(Woken(), ElementsAre("b"));
  EXPECT_TRUE(scheduler.HasSlot("b"));
  EXPECT_FALSE(scheduler.TryAcquire(Make("c")));
  EXPECT_TRUE(scheduler.TryAcquire(Make("b")));
}

TEST_F(SchedulerTest, ReleasingWhatIsNotThereChangesNothing) {
  Scheduler scheduler = With(1);
  scheduler.TryAcquire(Make("a"));
  scheduler.TryAcquire(Make("b"));
  scheduler.Release("x");
  EXPECT_EQ(scheduler.in_flight(), 1);
  scheduler.Release("b");  // no longer waits
  EXPECT_EQ(scheduler.queued(), 0);
  scheduler.Release("a");
  EXPECT_THAT(Woken(), IsEmpty());
  EXPECT_EQ(scheduler.in_flight(), 0);
}

TEST_F(SchedulerTest, TheNearestDeadlineOfAnIssuerIsFirst) {
  Scheduler scheduler = With(1);
  scheduler.TryAcquire(Make("holder"));
  scheduler.TryAcquire(Make("late", 30));
  scheduler.TryAcquire(Make("soon", 10));
  scheduler.TryAcquire(Make("next", 20));
  scheduler.TryAcquire(Make("soon too", 10));
  std::vector<std::string> order;
  std::string holder = "holder";
  for (int i = 0; i < 4; ++i) {
    scheduler.Release(holder);
    ASSERT_THAT(woken_, SizeIs(1));
    holder = Woken()[0];
    order.push_back(holder);
  }
  EXPECT_THAT(order, ElementsAre("soon", "soon too", "next", "late"));
}

TEST_F(SchedulerTest, IssuersTakeTurns) {
  Scheduler scheduler = With(1);
  scheduler.TryAcquire(Make("holder", 1, "big"));
  for (int i = 0; i < 3; ++i) scheduler.TryAcquire(Make(absl::StrCat("big", i), i, "big"));
  scheduler.TryAcquire(Make("small", 1000, "small"));
  scheduler.TryAcquire(Make("tiny", 1000, "tiny"));
  std::vector<std::string> order;
  std::string holder = "holder";
  for (int i = 0; i < 5; ++i) {
    scheduler.Release(holder);
    ASSERT_THAT(woken_, SizeIs(1));
    holder = Woken()[0];
    order.push_back(holder);
  }
  EXPECT_THAT(order, ElementsAre("small", "tiny", "big0", "big1", "big2"));
}

TEST_F(SchedulerTest, AnIssuerAtItsLimitHoldsUpNoOther) {
  Scheduler scheduler = With(10, 1);
  EXPECT_TRUE(scheduler.TryAcquire(Make("a1", 1, "a")));
  EXPECT_FALSE(scheduler.TryAcquire(Make("a2", 1, "a")));
  EXPECT_TRUE(scheduler.TryAcquire(Make("b1", 1, "b")));
  scheduler.Release("b1");
  EXPECT_THAT(Woken(), IsEmpty());
  scheduler.Release("a1");
  EXPECT_THAT(Woken(), ElementsAre("a2"));
}

TEST_F(SchedulerTest, AnAccountAtItsLimitHoldsUpNoOther) {
  Scheduler scheduler = With(2, 100, 1);
  EXPECT_TRUE(scheduler.TryAcquire(Make("a1", 1, "i", "dns-a")));
  EXPECT_TRUE(scheduler.TryAcquire(Make("none", 1, "i")));
  EXPECT_FALSE(scheduler.TryAcquire(Make("a2", 2, "i", "dns-a")));
  EXPECT_FALSE(scheduler.TryAcquire(Make("b1", 3, "i", "dns-b")));
  scheduler.Release("none");
  EXPECT_THAT(Woken(), ElementsAre("b1"));
  scheduler.Release("a1");
  EXPECT_THAT(Woken(), ElementsAre("a2"));
}

TEST_F(SchedulerTest, ANamespaceLeavesRoomForOthersOfEachLimit) {
  struct Case {
    int total, per_issuer, per_account, granted;
  };
  // Of 9 slots: 6 are taken and 3 free when the seventh is granted; 7 and 2 are not enough for
  // the eighth.
  for (const Case& limits : {Case{9, 100, 100, 7}, Case{100, 9, 100, 7}, Case{100, 100, 9, 7},
                             Case{100, 100, 100, 75}, Case{1, 1, 1, 1}, Case{3, 3, 3, 3}}) {
    Scheduler scheduler = With(limits.total, limits.per_issuer, limits.per_account);
    for (int i = 0; i < 200; ++i) {
      scheduler.TryAcquire(Make(absl::StrCat("hog/", i), 1, "i", "dns"));
    }
    EXPECT_EQ(scheduler.in_flight(), limits.granted) << limits.total;
    if (limits.granted > 3) {
      EXPECT_TRUE(scheduler.TryAcquire(Make("other/a", 100, "i", "dns"))) << limits.total;
    }
  }
}

TEST_F(SchedulerTest, ManyNamespacesTogetherLeaveRoomForOneMore) {
  Scheduler scheduler = With(500, 250);
  for (int i = 0; i < 20 * 250; ++i) {
    scheduler.TryAcquire(Make(absl::StrCat("hog", i % 20, "/", i)));
  }
  EXPECT_LT(scheduler.in_flight(), 250);
  EXPECT_GT(scheduler.in_flight(), 240);
  EXPECT_TRUE(scheduler.TryAcquire(Make("other/a", 1000)));
}

TEST_F(SchedulerTest, AFreedSlotGoesToANamespaceThatHasItsShareToGet) {
  Scheduler scheduler = With(8);
  for (int i = 0; i < 20; ++i) scheduler.TryAcquire(Make(absl::StrCat("hog/", i), i));
  EXPECT_EQ(scheduler.in_flight(), 6);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(scheduler.TryAcquire(Make(absl::StrCat("other/", i), 100)));
  }
  EXPECT_FALSE(scheduler.TryAcquire(Make("other/2", 100)));
  scheduler.Release("hog/0");
  EXPECT_THAT(Woken(), ElementsAre("other/2"));
  scheduler.Release("other/0");
  scheduler.Release("other/1");
  EXPECT_THAT(Woken(), ElementsAre("hog/6"));
}

// Fault 47.
TEST_F(SchedulerTest, TheSameRecordIsHeldByOneAtATime) {
  Scheduler scheduler = With(10);
  EXPECT_TRUE(scheduler.TryAcquire(Make("a", 1, "i", "dns", "dns x")));
  EXPECT_FALSE(scheduler.TryAcquire(Make("b", 1, "j", "dns", "dns x")));
  EXPECT_TRUE(scheduler.TryAcquire(Make("c", 1, "i", "dns", "dns y")));
  scheduler.Release("c");
  EXPECT_THAT(Woken(), IsEmpty());
  scheduler.Release("a");
  EXPECT_THAT(Woken(), ElementsAre("b"));
  EXPECT_FALSE(scheduler.TryAcquire(Make("a", 1, "i", "dns", "dns x")));
}

TEST_F(SchedulerTest, OneReleaseMayServeSeveral) {
  Scheduler scheduler = With(3, 2);
  scheduler.Hold(Make("a", 1, "i"));
  scheduler.Hold(Make("b", 1, "i"));
  scheduler.Hold(Make("c", 1, "j"));
  scheduler.Hold(Make("d", 1, "j"));
  EXPECT_EQ(scheduler.in_flight(), 4);
  EXPECT_FALSE(scheduler.TryAcquire(Make("e", 1, "k")));
  EXPECT_FALSE(scheduler.TryAcquire(Make("f", 1, "k")));
  scheduler.Release("a");  // still at the limit
  EXPECT_THAT(Woken(), IsEmpty());
  scheduler.Release("b");
  EXPECT_THAT(Woken(), ElementsAre("e"));
  scheduler.Release("c");
  EXPECT_THAT(Woken(), ElementsAre("f"));
}

TEST_F(SchedulerTest, WhoWaitsMayChangeWhatItNeeds) {
  Scheduler scheduler = With(10);
  scheduler.TryAcquire(Make("a", 1, "i", "dns", "dns x"));
  EXPECT_FALSE(scheduler.TryAcquire(Make("b", 1, "i", "dns", "dns x")));
  EXPECT_TRUE(scheduler.TryAcquire(Make("b", 1, "i", "dns", "dns y")));
  EXPECT_EQ(scheduler.queued(), 0);
}

TEST_F(SchedulerTest, WhoWaitsGetsTheNewPlaceOfWhatHasChanged) {
  struct Case {
    const char* name;
    Candidate before;
    Candidate after;
    // Whether it is served before "other", whose deadline is 3.
    bool first;
  };
  for (const Case& c :
       {Case{"an earlier deadline", Make("b", 5), Make("b", 1), true},
        {"a later deadline", Make("b", 1), Make("b", 5), false},
        {"the issuer whose turn it is", Make("b", 5), Make("b", 5, "h"), true},
        {"an account with room", Make("b", 1, "i", "full"), Make("b", 1, "i", "free"), true},
        {"an account without room", Make("b", 1, "i", "free"), Make("b", 1, "i", "full"),
         false}}) {
    Scheduler scheduler = With(2, 100, 1);
    scheduler.TryAcquire(Make("holder", 1, "i", "full"));
    scheduler.TryAcquire(Make("a"));
    EXPECT_FALSE(scheduler.TryAcquire(c.before));
    EXPECT_FALSE(scheduler.TryAcquire(Make("other", 3)));
    EXPECT_FALSE(scheduler.TryAcquire(c.after));
    EXPECT_EQ(scheduler.queued(), 2);
    scheduler.Release("a");
    EXPECT_THAT(Woken(), ElementsAre(c.first ? "b" : "other")) << c.name;
  }
}

TEST_F(SchedulerTest, HoldTakesWhoWaitsOutOfTheQueue) {
  Scheduler scheduler = With(1);
  scheduler.TryAcquire(Make("a"));
  scheduler.TryAcquire(Make("b"));
  scheduler.Hold(Make("b"));
  EXPECT_EQ(scheduler.queued(), 0);
  scheduler.Release("a");
  EXPECT_THAT(Woken(), IsEmpty());
  EXPECT_EQ(scheduler.in_flight(), 1);
}

TEST_F(SchedulerTest, ManyWaitersOfOneAccountAreServedInOrder) {
  constexpr int kMany = 20'000;
  Scheduler scheduler = With(100, 100, 10);
  std::vector<std::string> running;
  for (int i = 0; i < kMany; ++i) {
    std::string key = absl::StrCat("default/", i);
    if (scheduler.TryAcquire(Make(key, i, "i", "dns"))) running.push_back(std::move(key));
  }
  EXPECT_THAT(running, SizeIs(8));
  int done = 0;
  while (!running.empty()) {
    scheduler.Release(running.front());
    running.erase(running.begin());
    ++done;
    for (std::string& key : Woken()) running.push_back(std::move(key));
  }
  EXPECT_EQ(done, kMany);
}

}  // namespace
}  // namespace certwright::solver
