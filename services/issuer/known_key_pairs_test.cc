#include "services/issuer/known_key_pairs.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

issuer::v1::Secret Secret(const std::string& uid, const std::string& version) {
  issuer::v1::Secret secret;
  secret.mutable_metadata()->set_uid(uid);
  secret.mutable_metadata()->set_resource_version(version);
  return secret;
}

TEST(KnownKeyPairsTest, AChangedSecretIsReadAnew) {
  KnownKeyPairs known;
  const auto facts = known.FactsOf(Secret("a", "1"));
  EXPECT_EQ(known.FactsOf(Secret("a", "1")), facts);
  EXPECT_NE(known.FactsOf(Secret("a", "2")), facts);
  EXPECT_EQ(known.Find(Secret("a", "1")), nullptr);
}

// Fault 117.
TEST(KnownKeyPairsTest, TheLongestKnownGoesWhenThereAreTooMany) {
  KnownKeyPairs known(3);
  for (const char* uid : {"a", "b", "c"}) known.FactsOf(Secret(uid, "1"));
  known.FactsOf(Secret("a", "2"));
  known.FactsOf(Secret("d", "1"));
  EXPECT_EQ(known.Find(Secret("b", "1")), nullptr);
  EXPECT_NE(known.Find(Secret("c", "1")), nullptr);
  EXPECT_NE(known.Find(Secret("a", "2")), nullptr);
  EXPECT_NE(known.Find(Secret("d", "1")), nullptr);
  known.FactsOf(Secret("e", "1"));
  EXPECT_EQ(known.Find(Secret("c", "1")), nullptr);
  EXPECT_NE(known.Find(Secret("a", "2")), nullptr);
}

// Fault 117.
TEST(KnownKeyPairsTest, OneTooManyCostsNoMoreThanOne) {
  constexpr int kMost = 100;
  KnownKeyPairs known(kMost);
  for (int i = 0; i <= kMost; ++i) known.FactsOf(Secret(absl::StrCat(i), "1"));
  EXPECT_EQ(known.Find(Secret("0", "1")), nullptr);
  for (int i = 1; i <= kMost; ++i) {
    EXPECT_NE(known.Find(Secret(absl::StrCat(i), "1")), nullptr) << i;
  }
}

// Fault 117.
TEST(KnownKeyPairsTest, ASecretThatChangesPushesNoOtherOut) {
  KnownKeyPairs known(2);
  known.FactsOf(Secret("a", "1"));
  for (int i = 0; i < 5; ++i) known.FactsOf(Secret("b", absl::StrCat(i)));
  EXPECT_NE(known.Find(Secret("a", "1")), nullptr);
  EXPECT_NE(known.Find(Secret("b", "4")), nullptr);
}

}  // namespace
}  // namespace certwright::issuer_service
