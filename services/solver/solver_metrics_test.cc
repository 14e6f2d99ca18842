#include "services/solver/solver_metrics.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::solver {
namespace {

// Fault 110.
TEST(SolverMetricsTest, CountsTheProofsThatCouldNotBeRemovedUntilTheyAre) {
  telemetry::Metrics metrics;
  SolverMetrics solver(metrics);
  struct Case {
    const char* record;
    absl::Status removed;
    int left_behind;
  };
  const absl::Status error = absl::NotFoundError("no issuer");
  for (const Case& c : {Case{"default/a", absl::OkStatus(), 0},
                        {"default/a", error, 1},
                        {"default/a", error, 1},
                        {"default/b", error, 2},
                        {"default/a", absl::OkStatus(), 1},
                        {"default/b", absl::OkStatus(), 0}}) {
    solver.OnCleanUp(c.record, c.removed);
    EXPECT_THAT(metrics.Expose(),
                testing::HasSubstr(absl::StrCat(
                    "\ncertwright_solver_presentations_left_behind ", c.left_behind, "\n")));
  }
}

}  // namespace
}  // namespace certwright::solver
