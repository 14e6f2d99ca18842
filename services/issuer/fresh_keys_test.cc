#include "services/issuer/fresh_keys.h"

#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

meta::v1::ObjectMeta Metadata(const std::string& uid, const std::string& version) {
  meta::v1::ObjectMeta metadata;
  metadata.set_uid(uid);
  metadata.set_resource_version(version);
  return metadata;
}

TEST(FreshKeysTest, GivesAKeyBackOnce) {
  FreshKeys keys;
  const auto key = pki::PrivateKey::Generate(pki::KeySpec());
  keys.Keep(Metadata("u", "7"), *key);
  const auto taken = keys.Take(Metadata("u", "7"));
  ASSERT_TRUE(taken.has_value());
  EXPECT_TRUE(taken->public_key() == key->public_key());
  EXPECT_FALSE(keys.Take(Metadata("u", "7")).has_value());
}

TEST(FreshKeysTest, DoesNotKnowWhatASecretHoldsAfterAChange) {
  FreshKeys keys;
  keys.Keep(Metadata("u", "7"), *pki::PrivateKey::Generate(pki::KeySpec()));
  EXPECT_FALSE(keys.Take(Metadata("u", "8")).has_value());
  EXPECT_FALSE(keys.Take(Metadata("v", "7")).has_value());
}

}  // namespace
}  // namespace certwright::issuer_service
