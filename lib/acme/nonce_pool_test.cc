#include "lib/acme/nonce_pool.h"

#include <string>

#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"

namespace certwright::acme {
namespace {

TEST(NoncePoolTest, HandsOutTheNewestOnce) {
  base::FakeClock clock;
  NoncePool pool(clock);
  pool.Put("a");
  pool.Put("b");
  EXPECT_EQ(pool.Take(), "b");
  EXPECT_EQ(pool.Take(), "a");
  EXPECT_EQ(pool.Take(), std::nullopt);
}

TEST(NoncePoolTest, DropsTheOldestWhenFull) {
  base::FakeClock clock;
  NoncePool pool(clock, 2);
  for (const char* nonce : {"a", "b", "c"}) pool.Put(nonce);
  EXPECT_EQ(pool.size(), 2u);
  EXPECT_EQ(pool.Take(), "c");
  EXPECT_EQ(pool.Take(), "b");
}

// Fault 8.
TEST(NoncePoolTest, DropsWhatIsOlderThanAnHour) {
  base::FakeClock clock;
  NoncePool pool(clock);
  pool.Put("old");
  clock.Advance(absl::Minutes(40));
  pool.Put("new");
  clock.Advance(absl::Minutes(40));
  EXPECT_EQ(pool.Take(), "new");
  EXPECT_EQ(pool.Take(), std::nullopt);
}

// Fault 4.
TEST(NoncePoolTest, IgnoresNoncesOutsideBase64Url) {
  base::FakeClock clock;
  NoncePool pool(clock);
  for (const std::string& nonce : {std::string(), std::string("a b"), std::string("a="),
                                   std::string("a\r\nb"), std::string(513, 'a')}) {
    EXPECT_FALSE(NoncePool::IsValid(nonce));
    pool.Put(nonce);
  }
  EXPECT_EQ(pool.size(), 0u);
  EXPECT_TRUE(NoncePool::IsValid("aZ09-_"));
}

TEST(NoncePoolTest, TwoRejectionsInARowEmptyIt) {
  base::FakeClock clock;
  NoncePool pool(clock);
  for (const char* nonce : {"a", "b", "c", "d"}) pool.Put(nonce);
  pool.Rejected();
  pool.Accepted();
  pool.Rejected();
  EXPECT_EQ(pool.size(), 4u);
  pool.Rejected();
  EXPECT_EQ(pool.size(), 0u);
}

TEST(NoncePoolTest, AfterItWasEmptiedRejectionsAreCountedAnew) {
  base::FakeClock clock;
  NoncePool pool(clock);
  for (void (NoncePool::*empty)() : {&NoncePool::Rejected, &NoncePool::Flush}) {
    pool.Put("a");
    pool.Rejected();
    (pool.*empty)();
    EXPECT_EQ(pool.size(), 0u);
    pool.Put("b");
    pool.Rejected();
    EXPECT_EQ(pool.Take(), "b");
    pool.Accepted();
  }
}

}  // namespace
}  // namespace certwright::acme
