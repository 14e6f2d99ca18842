#include "lib/dns/name.h"

#include "lib/base/status_matchers.h"

namespace certwright::dns {
namespace {

using base::IsOkAndHolds;
using base::StatusIs;
using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(NormalizeTest, LowersCaseAndDropsTheTrailingDot) {
  EXPECT_THAT(Normalize("_ACME-Challenge.Example.TEST."),
              IsOkAndHolds(std::string("_acme-challenge.example.test")));
  EXPECT_THAT(Normalize("*.a.b"), IsOkAndHolds(std::string("*.a.b")));
  EXPECT_THAT(Normalize("."), IsOkAndHolds(std::string()));
  EXPECT_THAT(Normalize(""), IsOkAndHolds(std::string()));
}

TEST(NormalizeTest, RefusesWhatIsNoName) {
  EXPECT_THAT(Normalize("a..b"), StatusIs(kInvalid, HasSubstr("empty label")));
  EXPECT_THAT(Normalize(".a"), StatusIs(kInvalid));
  EXPECT_THAT(Normalize("a.."), StatusIs(kInvalid));
  EXPECT_THAT(Normalize("a b"), StatusIs(kInvalid));
  EXPECT_THAT(Normalize("a*.b"), StatusIs(kInvalid));
  EXPECT_THAT(Normalize("a\\.b"), StatusIs(kInvalid));
  EXPECT_THAT(Normalize("b\xC3\xBC"
                        "cher.test"),
              StatusIs(kInvalid, HasSubstr("xn--")));
  EXPECT_THAT(Normalize(std::string("a\0b", 3)), StatusIs(kInvalid));
}

TEST(NormalizeTest, KeepsTheLimitsOfTheProtocol) {
  const std::string label(63, 'a');
  CW_EXPECT_OK(Normalize(label + ".test"));
  EXPECT_THAT(Normalize(label + "a.test"), StatusIs(kInvalid, HasSubstr("63")));
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  ASSERT_EQ(longest.size(), 253u);
  CW_EXPECT_OK(Normalize(longest + "."));
  EXPECT_THAT(Normalize("c" + longest), StatusIs(kInvalid, HasSubstr("253")));
}

TEST(IsSubdomainTest, ComparesWholeLabels) {
  EXPECT_TRUE(IsSubdomain("example.test", "example.test"));
  EXPECT_TRUE(IsSubdomain("a.example.test", "example.test"));
  EXPECT_TRUE(IsSubdomain("a.example.test", ""));
  EXPECT_TRUE(IsSubdomain("", ""));
  EXPECT_FALSE(IsSubdomain("badexample.test", "example.test"));
  EXPECT_FALSE(IsSubdomain("test", "example.test"));
  EXPECT_FALSE(IsSubdomain("", "test"));
}

TEST(ParentTest, GoesUpToTheRootAndStaysThere) {
  EXPECT_EQ(Parent("a.b.c"), "b.c");
  EXPECT_EQ(Parent("c"), "");
  EXPECT_EQ(Parent(""), "");
  EXPECT_EQ(DisplayName(""), "the root");
}

}  // namespace
}  // namespace certwright::dns
