#include "lib/pki/rsa_key_pool.h"

#include <future>
#include <thread>
#include <utility>
#include <vector>

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

absl::StatusOr<PrivateKey> MakeAndWait(RsaKeyPool& pool, int size) {
  std::promise<absl::StatusOr<PrivateKey>> made;
  pool.Make(size, [&](absl::StatusOr<PrivateKey> key) { made.set_value(std::move(key)); });
  return made.get_future().get();
}

TEST(RsaKeyPoolTest, MakesAKeyForWhoeverWaitsForOne) {
  RsaKeyPool pool(1);
  for (int size : {2048, 2056, 2048}) {
    const absl::StatusOr<PrivateKey> key = MakeAndWait(pool, size);
    ASSERT_THAT(key, base::IsOk());
    EXPECT_EQ(key->spec(), (KeySpec{KeyAlgorithm::kRsa, size}));
  }
  EXPECT_THAT(MakeAndWait(pool, 1024), base::StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(RsaKeyPoolTest, WhoeverStillWaitsAtTheEndIsTold) {
  std::vector<absl::StatusCode> codes;
  {
    RsaKeyPool pool;
    for (int size : {8192, 8191}) {
      pool.Make(size, [&](const absl::StatusOr<PrivateKey>& key) {
        codes.push_back(key.status().code());
      });
    }
  }
  EXPECT_EQ(codes, std::vector(2, absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace certwright::pki
