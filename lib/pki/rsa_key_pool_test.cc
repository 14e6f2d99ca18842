#include "lib/pki/rsa_key_pool.h"

#include <thread>

#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::pki {
namespace {

PrivateKey TakeSoon(RsaKeyPool& pool, int size) {
  while (true) {
    std::optional<PrivateKey> key = pool.Take(size);
    if (key.has_value()) return *std::move(key);
    std::this_thread::yield();
  }
}

TEST(RsaKeyPoolTest, MakesKeysOfTheSizeThatWasAskedFor) {
  RsaKeyPool pool(1);
  EXPECT_FALSE(pool.Take(2048).has_value());
  PrivateKey first = TakeSoon(pool, 2048);
  EXPECT_EQ(first.spec(), (KeySpec{KeyAlgorithm::kRsa, 2048}));
  // A key like those of PrivateKey::Generate().
  CW_EXPECT_OK(PrivateKey::ParsePem(first.ToPem().Reveal()));
  EXPECT_FALSE(TakeSoon(pool, 2048).public_key() == first.public_key());
}

TEST(RsaKeyPoolTest, KnowsNoOtherSizesThanKeysHave) {
  RsaKeyPool pool;
  for (int size : {-1, 0, 1024, 2047, 8193}) EXPECT_FALSE(pool.Take(size).has_value());
}

TEST(RsaKeyPoolTest, KeepsAtMostFourSizes) {
  RsaKeyPool pool(1);
  for (int size : {8192, 8191, 8190, 8189}) EXPECT_FALSE(pool.Take(size).has_value());
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(pool.Take(2048).has_value());
}

TEST(RsaKeyPoolTest, DestructorBreaksOffTheKeyInTheMaking) {
  for (int i = 0; i < 3; ++i) {
    RsaKeyPool pool;
    pool.Take(8192);
    std::this_thread::yield();
  }
}

}  // namespace
}  // namespace certwright::pki
