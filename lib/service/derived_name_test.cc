#include "lib/service/derived_name.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/rpc/validation.h"

namespace certwright::service {
namespace {

using ::testing::MatchesRegex;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(DerivedNameTest, IsTheOwnerAndTenHexDigits) {
  EXPECT_THAT(DerivedName("web", {"1"}), MatchesRegex("web-[0-9a-f]{10}"));
}

TEST(DerivedNameTest, StaysTheSameAcrossReleases) {
  // SHA-256 of "3:web1:1": resources that an earlier release made must be found again.
  EXPECT_EQ(DerivedName("web", {"web", "1"}), "web-3c479166a3");
}

TEST(DerivedNameTest, OtherPartsGiveAnotherName) {
  EXPECT_NE(DerivedName("web", {"ab", "c"}), DerivedName("web", {"a", "bc"}));
  EXPECT_NE(DerivedName("web", {"a"}), DerivedName("web", {"a", ""}));
  EXPECT_NE(DerivedName("web", {"a", "b"}), DerivedName("web", {"b", "a"}));
}

TEST(DerivedNameTest, LongOwnersAreCutToALabel) {
  const std::string name = DerivedName(std::string(63, 'a'), {"1"});
  EXPECT_THAT(name, SizeIs(63));
  EXPECT_TRUE(rpc::IsDnsLabel(name)) << name;
}

TEST(DerivedNameTest, ACutAtHyphensLeavesNoneInFrontOfTheHash) {
  const std::string name = DerivedName(std::string(50, 'a') + "--b" + std::string(10, 'c'), {});
  EXPECT_THAT(name, MatchesRegex("a{50}-[0-9a-f]{10}"));
  EXPECT_TRUE(rpc::IsDnsLabel(name)) << name;
}

TEST(SuffixedNameTest, KeepsTheSuffixWhereItFits) {
  EXPECT_EQ(SuffixedName("web", "account-key"), "web-account-key");
  const std::string owner(51, 'a');
  EXPECT_EQ(SuffixedName(owner, "account-key"), owner + "-account-key");
}

TEST(SuffixedNameTest, HashesWhereTheSuffixDoesNotFit) {
  const std::string owner(52, 'a');
  const std::string name = SuffixedName(owner, "account-key");
  EXPECT_THAT(name, SizeIs(63));
  EXPECT_THAT(name, StartsWith(owner));
  EXPECT_NE(name, SuffixedName(owner, "account-kez"));
  // What differs only behind the cut is told apart.
  EXPECT_NE(SuffixedName(std::string(60, 'a') + "b", "key"),
            SuffixedName(std::string(60, 'a') + "c", "key"));
}

}  // namespace
}  // namespace certwright::service
