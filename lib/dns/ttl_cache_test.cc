#include "lib/dns/ttl_cache.h"

#include <string>

#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"

namespace certwright::dns {
namespace {

TEST(TtlCacheTest, ForgetsAValueWhenItsTimeIsOver) {
  base::FakeClock clock;
  TtlCache<std::string, int> cache(clock, 10);
  cache.Put("a", 1, absl::Seconds(5));
  clock.Advance(absl::Seconds(4));
  EXPECT_EQ(cache.Get("a"), 1);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(cache.Get("a"), std::nullopt);
}

TEST(TtlCacheTest, ReplacesAndErases) {
  base::FakeClock clock;
  TtlCache<std::string, int> cache(clock, 10);
  cache.Put("a", 1, absl::Seconds(5));
  cache.Put("a", 2, absl::Seconds(5));
  EXPECT_EQ(cache.Get("a"), 2);
  cache.Erase("a");
  EXPECT_EQ(cache.Get("a"), std::nullopt);
}

TEST(TtlCacheTest, StaysWithinItsSizeAndDropsExpiredEntriesFirst) {
  base::FakeClock clock;
  TtlCache<std::string, int> cache(clock, 2);
  cache.Put("old", 1, absl::Seconds(1));
  cache.Put("young", 2, absl::Seconds(60));
  clock.Advance(absl::Seconds(2));
  cache.Put("new", 3, absl::Seconds(60));
  EXPECT_EQ(cache.Get("young"), 2);
  EXPECT_EQ(cache.Get("new"), 3);
  cache.Put("newest", 4, absl::Seconds(60));
  EXPECT_EQ(cache.Get("young"), std::nullopt);
  EXPECT_EQ(cache.Get("newest"), 4);
}

}  // namespace
}  // namespace certwright::dns
