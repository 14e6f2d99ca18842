#include "lib/rpc/pending_answers.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"

namespace certwright::rpc {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class PendingAnswersTest : public ::testing::Test {
 protected:
  void Add(const std::string& connection, int count) {
    for (int i = 0; i < count; ++i) answers_.push_back(pending_->Add(connection));
  }

  base::FakeClock clock_;
  std::vector<std::string> ended_;
  std::shared_ptr<PendingAnswers> pending_ = std::make_shared<PendingAnswers>(
      PendingAnswerLimits{.per_connection = 3, .total = 6},
      std::make_shared<base::TokenBuckets>(
          base::TokenBucketOptions{.per_second = 1, .burst = 2}, clock_),
      [this](const std::string& connection) { ended_.push_back(connection); });
  std::vector<PendingAnswers::Answer> answers_;
};

TEST_F(PendingAnswersTest, AConnectionWithTooManyIsEnded) {
  Add("a", 3);
  EXPECT_THAT(ended_, IsEmpty());
  Add("a", 1);
  EXPECT_THAT(ended_, ElementsAre("a"));
}

TEST_F(PendingAnswersTest, WhatIsTakenCountsNoMore) {
  for (int i = 0; i < 10; ++i) {
    Add("a", 3);
    answers_.clear();
  }
  EXPECT_THAT(ended_, IsEmpty());
}

TEST_F(PendingAnswersTest, WhenThereAreTooManyInAllTheOneThatHasMostIsEnded) {
  Add("a", 3);
  for (const char* other : {"b", "c", "d"}) Add(other, 1);
  EXPECT_THAT(ended_, IsEmpty());
  Add("e", 2);
  EXPECT_THAT(ended_, Not(IsEmpty()));
  EXPECT_THAT(ended_, Each("a"));
}

TEST_F(PendingAnswersTest, AStrangerWithTooManyCallsIsDisconnected) {
  for (const char* connection : {"ipv4:192.0.2.1:1", "ipv4:192.0.2.1:2", "ipv4:192.0.2.2:1"}) {
    pending_->AddOfStranger(connection);
  }
  EXPECT_THAT(ended_, IsEmpty());
  pending_->AddOfStranger("ipv4:192.0.2.1:3");
  EXPECT_THAT(ended_, ElementsAre("ipv4:192.0.2.1:3"));
  // One is owed.
  clock_.Advance(absl::Seconds(1));
  pending_->AddOfStranger("ipv4:192.0.2.1:4");
  EXPECT_THAT(ended_, ElementsAre("ipv4:192.0.2.1:3", "ipv4:192.0.2.1:4"));
  clock_.Advance(absl::Seconds(3));
  pending_->AddOfStranger("ipv4:192.0.2.1:5");
  EXPECT_THAT(ended_, SizeIs(2));
}

}  // namespace
}  // namespace certwright::rpc
