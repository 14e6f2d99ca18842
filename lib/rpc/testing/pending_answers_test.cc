#include "lib/rpc/pending_answers.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::rpc {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

class PendingAnswersTest : public ::testing::Test {
 protected:
  void Add(const std::string& connection, int count) {
    for (int i = 0; i < count; ++i) answers_.push_back(pending_->Add(connection));
  }

  std::vector<std::string> ended_;
  std::shared_ptr<PendingAnswers> pending_ = std::make_shared<PendingAnswers>(
      PendingAnswerLimits{.per_connection = 3, .total = 6},
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

}  // namespace
}  // namespace certwright::rpc
