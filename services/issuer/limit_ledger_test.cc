#include "services/issuer/limit_ledger.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/store/mortal_store.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr absl::Duration kWindow = absl::Hours(1);
constexpr char kBucket[] = "orders one";
constexpr char kOther[] = "orders two";

class LimitLedgerTest : public IssuerWorld {
 protected:
  LimitLedgerTest() { CW_EXPECT_OK(Await(ledger_.Load(Context(), clock_.Now()))); }

  // An order that counts for as long as the window is.
  void Order(const std::string& uid) {
    const std::vector<Draw> draws = {{kBucket, {10, 10 * kWindow}}};
    CW_ASSERT_OK(Await(ledger_.Ask(Context(), {uid, uid, clock_.Now()}, draws, clock_.Now())));
    CW_ASSERT_OK(Await(ledger_.Placed(Context(), uid, clock_.Now())));
    CW_ASSERT_OK(
        Await(ledger_.End(Context(), uid, LimitBuckets::Outcome::kIssued, {}, clock_.Now())));
  }
  // Uids of the records on disk.
  std::vector<std::string> Kept() {
    const std::string prefix = absl::StrCat(kLimitRecordsPrefix, "/");
    store::ListRequest request;
    request.prefix = prefix;
    std::vector<std::string> uids;
    const auto listed = Await(store_->List(Context(), request));
    for (const store::Record& record : listed->records) {
      uids.push_back(record.key.substr(prefix.size()));
    }
    return uids;
  }

  store::MortalStore mortal_{*store_};
  LimitLedger ledger_{mortal_};
};

TEST_F(LimitLedgerTest, WhatIsOverGoesAlongWithLaterCommits) {
  Order("a");
  Order("b");
  EXPECT_THAT(Kept(), ElementsAre("a", "b"));
  clock_.Advance(3 * kWindow);
  const int commits = mortal_.commits();
  Order("c");
  EXPECT_THAT(Kept(), ElementsAre("c"));
  EXPECT_LE(mortal_.commits(), commits + 2);
}

// Fault 117.
TEST_F(LimitLedgerTest, WhatARequestTakesAnewWhileItsRecordIsDroppedStays) {
  Order("a");
  Order("b");
  clock_.Advance(3 * kWindow);
  const absl::Time until = clock_.Now() + absl::Hours(24);
  mortal_.BeforeNextCommit(
      [&] { CW_ASSERT_OK(Await(ledger_.Close(Context(), "b", kOther, until, clock_.Now()))); });
  Order("c");
  EXPECT_THAT(Kept(), testing::IsSupersetOf({"b", "c"}));
  LimitLedger restarted(*store_);
  CW_ASSERT_OK(Await(restarted.Load(Context(), clock_.Now())));
  EXPECT_TRUE(restarted.AnyClosed(clock_.Now()));
  // What was over all the same is not forgotten.
  Order("d");
  EXPECT_THAT(Kept(), ElementsAre("b", "c", "d"));
  clock_.Advance(absl::Hours(25));
  Order("e");
  EXPECT_THAT(Kept(), ElementsAre("e"));
}

// Fault 117.
TEST_F(LimitLedgerTest, AnOrderPlacedWhileItsRecordIsDroppedStays) {
  Order("a");
  Order("b");
  clock_.Advance(3 * kWindow);
  mortal_.BeforeNextCommit([&] { Order("b"); });
  Order("c");
  EXPECT_THAT(Kept(), testing::IsSupersetOf({"b", "c"}));
  LimitLedger restarted(*store_);
  CW_ASSERT_OK(Await(restarted.Load(Context(), clock_.Now())));
  // "b" and "c" fill a bucket of two.
  const std::vector<Draw> draws = {{kBucket, {2, kWindow}}};
  const auto turn =
      Await(restarted.Ask(Context(), {"d", "d", clock_.Now()}, draws, clock_.Now()));
  CW_ASSERT_OK(turn);
  EXPECT_FALSE(turn->now);
}

// Fault 117.
TEST_F(LimitLedgerTest, WhatAnotherCommitHasTakenAlongIsNotMissed) {
  Order("a");
  Order("b");
  clock_.Advance(3 * kWindow);
  mortal_.BeforeNextCommit([&] { Order("d"); });
  Order("c");
  EXPECT_THAT(Kept(), ElementsAre("c", "d"));
}

TEST_F(LimitLedgerTest, ARequestOfWhichNothingCountsLeavesNoRecord) {
  // A certificate that is not issued does not count.
  const std::vector<Draw> draws = {{"domain ca.test example.test", {10, 10 * kWindow}}};
  CW_ASSERT_OK(Await(ledger_.Ask(Context(), {"a", "a", clock_.Now()}, draws, clock_.Now())));
  EXPECT_THAT(Kept(), ElementsAre("a"));
  CW_ASSERT_OK(
      Await(ledger_.End(Context(), "a", LimitBuckets::Outcome::kFailed, {}, clock_.Now())));
  EXPECT_THAT(Kept(), IsEmpty());
}

TEST_F(LimitLedgerTest, ARestartReadsAllRecordsHoweverManyThereAre) {
  constexpr int kRecords = 1500;
  LimitBuckets told;
  std::vector<store::Mutation> batch;
  for (int i = 0; i < kRecords; ++i) {
    const std::string uid = absl::StrCat(10'000 + i);
    const bool last = i == kRecords - 1;
    told.Close(uid, absl::StrCat("orders ", uid),
               clock_.Now() + (last ? absl::Hours(24) : absl::Hours(1)));
    batch.push_back(store::Mutation::Put(absl::StrCat(kLimitRecordsPrefix, "/", uid),
                                         told.RecordOf(uid).SerializeAsString()));
    if (batch.size() < store::kMaxMutations && !last) continue;
    CW_ASSERT_OK(Await(store_->Commit(Context(), std::move(batch))));
    batch.clear();
  }
  LimitLedger restarted(*store_);
  CW_ASSERT_OK(Await(restarted.Load(Context(), clock_.Now())));
  clock_.Advance(absl::Hours(2));
  EXPECT_TRUE(restarted.AnyClosed(clock_.Now()));
}

}  // namespace
}  // namespace certwright::issuer_service
