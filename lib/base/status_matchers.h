// GoogleTest matchers for absl::Status and absl::StatusOr.
//
//   EXPECT_THAT(Parse("x"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("x")));
//   EXPECT_THAT(Parse("1"), IsOkAndHolds(1));
//   CW_ASSERT_OK_AND_ASSIGN(int value, Parse("1"));
#pragma once

#include <ostream>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_macros.h"

namespace certwright::base {

MATCHER(IsOk, negation ? "is not OK" : "is OK") {
  const absl::Status& status = ToStatus(arg);
  *result_listener << "whose status is " << status.ToString();
  return status.ok();
}

MATCHER_P(StatusIs, code, "has status code " + testing::PrintToString(absl::StatusCode(code))) {
  const absl::Status& status = ToStatus(arg);
  *result_listener << "whose status is " << status.ToString();
  return status.code() == code;
}

MATCHER_P2(StatusIs, code, message_matcher,
           "has status code " + testing::PrintToString(absl::StatusCode(code)) +
               " and a message that " +
               testing::DescribeMatcher<std::string>(message_matcher)) {
  const absl::Status& status = ToStatus(arg);
  *result_listener << "whose status is " << status.ToString();
  return status.code() == code &&
         testing::ExplainMatchResult(message_matcher, std::string(status.message()),
                                     result_listener);
}

MATCHER_P(IsOkAndHolds, value_matcher, "is OK and holds the expected value") {
  if (!arg.ok()) {
    *result_listener << "whose status is " << arg.status().ToString();
    return false;
  }
  return testing::ExplainMatchResult(value_matcher, *arg, result_listener);
}

}  // namespace certwright::base

#define CW_EXPECT_OK(expression) EXPECT_THAT(expression, ::certwright::base::IsOk())
#define CW_ASSERT_OK(expression) ASSERT_THAT(expression, ::certwright::base::IsOk())
#define CW_ASSERT_OK_AND_ASSIGN(target, expression) \
  CW_ASSERT_OK_AND_ASSIGN_INNER(CW_STATUS_CONCAT(cw_or_, __LINE__), target, expression)
#define CW_ASSERT_OK_AND_ASSIGN_INNER(variable, target, expression) \
  auto variable = (expression);                                     \
  ASSERT_THAT(variable, ::certwright::base::IsOk());                \
  target = *std::move(variable)
