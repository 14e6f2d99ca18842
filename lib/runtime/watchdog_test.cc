#include "lib/runtime/watchdog.h"

#include <cstdlib>
#include <future>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace certwright::runtime {
namespace {

class WatchdogTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  // As a process that does not end would.
  [[noreturn]] static void HangUnder(absl::Duration limit) {
    Watchdog watchdog(limit);
    std::promise<void>().get_future().wait();
    std::abort();
  }
  [[noreturn]] static void EndUnder(absl::Duration limit) {
    { Watchdog watchdog(limit); }
    std::_Exit(3);
  }
};

// Fault 116.
TEST_F(WatchdogTest, AProcessThatDoesNotEndIsEndedWithAStatusOfItsOwn) {
  for (const absl::Duration limit :
       {-absl::Seconds(1), absl::ZeroDuration(), absl::Milliseconds(50)}) {
    EXPECT_EXIT(HangUnder(limit), testing::ExitedWithCode(70), "the process does not end")
        << limit;
  }
}

// Fault 116.
TEST_F(WatchdogTest, OneThatEndsInTimeIsLeftAlone) {
  for (const absl::Duration limit : {absl::Minutes(1), absl::Hours(1), 24 * absl::Hours(1)}) {
    EXPECT_EXIT(EndUnder(limit), testing::ExitedWithCode(3), "^$") << limit;
  }
}

}  // namespace
}  // namespace certwright::runtime
