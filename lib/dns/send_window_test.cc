#include "lib/dns/send_window.h"

#include "gtest/gtest.h"

namespace certwright::dns {
namespace {

using std::chrono::milliseconds;

constexpr SendWindow::Time kStart{};

TEST(SendWindowTest, IsFullWithAsManyRecentQueriesAsItHolds) {
  SendWindow window(2, milliseconds(100));
  EXPECT_TRUE(window.Insert(1, kStart));
  EXPECT_FALSE(window.full(kStart));
  EXPECT_TRUE(window.Insert(2, kStart));
  EXPECT_TRUE(window.full(kStart));
  window.Erase(1);
  EXPECT_FALSE(window.full(kStart));
}

TEST(SendWindowTest, DoesNotCountWhatIsNoLongerRecent) {
  SendWindow window(2, milliseconds(100));
  window.Insert(1, kStart);
  window.Insert(2, kStart + milliseconds(50));
  EXPECT_TRUE(window.full(kStart + milliseconds(99)));
  EXPECT_EQ(window.opens_at(), kStart + milliseconds(100));
  EXPECT_FALSE(window.full(kStart + milliseconds(100)));
  EXPECT_EQ(window.in_flight(), 2u);
  // Its late answer does not make room a second time.
  window.Erase(1);
  window.Insert(3, kStart + milliseconds(100));
  EXPECT_TRUE(window.full(kStart + milliseconds(100)));
}

TEST(SendWindowTest, RefusesAnIdThatIsInFlightAndTakesItAfterwards) {
  SendWindow window(10, milliseconds(100));
  EXPECT_TRUE(window.Insert(7, kStart));
  EXPECT_FALSE(window.Insert(7, kStart));
  window.Erase(7);
  EXPECT_TRUE(window.empty());
  EXPECT_TRUE(window.Insert(7, kStart + milliseconds(60)));
  EXPECT_FALSE(window.empty());
}

TEST(SendWindowTest, AnIdInUseAgainIsAsOldAsItsSecondUse) {
  SendWindow window(1, milliseconds(100));
  window.Insert(7, kStart);
  window.Erase(7);
  window.Insert(7, kStart + milliseconds(60));
  EXPECT_TRUE(window.full(kStart + milliseconds(100)));
  EXPECT_FALSE(window.full(kStart + milliseconds(160)));
}

}  // namespace
}  // namespace certwright::dns
