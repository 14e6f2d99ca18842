#include "services/solver/clean_up_failures.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::solver {
namespace {

// Fault 110.
TEST(CleanUpFailuresTest, CountsAndTellsWhatCouldNotBeRemovedUntilItIs) {
  telemetry::Metrics metrics;
  CleanUpFailures failures(metrics);
  struct Case {
    const char* record;
    absl::Status removed;
    int left_behind;
    const char* error_of_a;
  };
  const absl::Status error = absl::NotFoundError("no issuer");
  for (const Case& c : {Case{"default/a", absl::OkStatus(), 0, ""},
                        {"default/a", absl::UnavailableError("away"), 1, "away"},
                        {"default/a", error, 1, "no issuer"},
                        {"default/b", error, 2, "no issuer"},
                        {"default/a", absl::OkStatus(), 1, ""},
                        {"default/b", absl::OkStatus(), 0, ""}}) {
    failures.Note(c.record, c.removed);
    EXPECT_EQ(failures.ErrorOf("default/a"), c.error_of_a);
    EXPECT_THAT(metrics.Expose(),
                testing::HasSubstr(absl::StrCat(
                    "\ncertwright_solver_presentations_left_behind ", c.left_behind, "\n")));
  }
}

}  // namespace
}  // namespace certwright::solver
