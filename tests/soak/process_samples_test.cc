#include "tests/soak/process_samples.h"

#include <unistd.h>

#include <functional>

#include "gtest/gtest.h"

namespace certwright::soak {
namespace {

Life MakeLife(absl::Duration length, const std::function<double(absl::Duration)>& value) {
  Life life;
  for (absl::Duration age = absl::Seconds(5); age <= length; age += absl::Seconds(5)) {
    life.push_back({age, value(age)});
  }
  return life;
}

double Warming(absl::Duration age) {
  return 60 + 20 * std::min(1.0, absl::FDivDuration(age, absl::Minutes(5)));
}

TEST(JudgeFlatnessTest, AProcessThatOnlyWarmsUpIsFlat) {
  const Flatness flatness = JudgeFlatness({MakeLife(absl::Minutes(20), Warming)}, {});
  EXPECT_EQ(flatness.flat, true);
  EXPECT_EQ(flatness.late, 80);
}

TEST(JudgeFlatnessTest, AProcessThatGrowsAllTheTimeIsNot) {
  const Life life = MakeLife(absl::Minutes(20), [](absl::Duration age) {
    return 60 + 3 * absl::ToDoubleMinutes(age);
  });
  EXPECT_EQ(JudgeFlatness({life}, {}).flat, false);
}

TEST(JudgeFlatnessTest, LivesAreComparedAtTheSameAge) {
  std::vector<Life> lives = {MakeLife(absl::Minutes(1), Warming)};
  for (int i = 0; i < 6; ++i) lives.push_back(MakeLife(absl::Minutes(3), Warming));
  // The last was cut short.
  lives.push_back(MakeLife(absl::Minutes(1), Warming));
  EXPECT_EQ(JudgeFlatness(lives, {}).flat, true);
}

TEST(JudgeFlatnessTest, LivesThatGetEverLargerAreNotFlatUnlessByLittle) {
  std::vector<Life> lives;
  for (int i = 0; i < 7; ++i) {
    lives.push_back(
        MakeLife(absl::Minutes(3), [i](absl::Duration age) { return Warming(age) + 5 * i; }));
  }
  EXPECT_EQ(JudgeFlatness(lives, {}).flat, false);
  EXPECT_EQ(JudgeFlatness(lives, {.slack = 10}).flat, true);
}

TEST(JudgeFlatnessTest, TooLittleIsNotJudged) {
  EXPECT_EQ(JudgeFlatness({}, {}).flat, std::nullopt);
  EXPECT_EQ(JudgeFlatness({MakeLife(absl::Minutes(6), Warming)}, {}).flat, std::nullopt);
  const std::vector<Life> three(3, MakeLife(absl::Minutes(3), Warming));
  EXPECT_EQ(JudgeFlatness(three, {}).flat, std::nullopt);
}

TEST(RangeOfTest, LeavesTheWarmUpOut) {
  const std::vector<Life> lives = {MakeLife(absl::Minutes(10), Warming)};
  EXPECT_EQ(RangeOf(lives, absl::Minutes(5)).min, 80);
  EXPECT_LT(RangeOf(lives, absl::Hours(1)).min, 62);
  EXPECT_EQ(RangeOf({}, absl::ZeroDuration()).max, 0);
}

TEST(SampleTest, ReadsThisProcessAndNothingOfOneThatIsGone) {
  EXPECT_GT(ResidentMib(getpid()), 1);
  EXPECT_GE(OpenFiles(getpid()), 3);
  EXPECT_EQ(ResidentMib(-1), 0);
  EXPECT_EQ(OpenFiles(-1), 0);
}

}  // namespace
}  // namespace certwright::soak
