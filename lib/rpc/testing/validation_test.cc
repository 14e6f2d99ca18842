#include "lib/rpc/validation.h"

#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/rpc/label_selector.h"

namespace certwright::rpc {
namespace {

using base::IsOkAndHolds;
using base::StatusIs;
using ::testing::HasSubstr;

TEST(ViolationsTest, AreOkOnlyWhenThereIsNone) {
  Violations violations;
  violations.Require(true, "spec.a", "must be set");
  CW_EXPECT_OK(violations.ToStatus());
  violations.Require(false, Indexed("spec.dnsNames", 1), "is not a DNS name");
  violations.Add("spec.b", "is empty");
  EXPECT_THAT(violations.ToStatus(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "spec.dnsNames[1]: is not a DNS name; spec.b: is empty"));
}

TEST(ValidationTest, DnsLabelsFollowRfc1123) {
  for (const char* good : {"a", "0", "a-b", "web-1"}) EXPECT_TRUE(IsDnsLabel(good)) << good;
  EXPECT_TRUE(IsDnsLabel(std::string(63, 'a')));
  for (const char* bad : {"", "-a", "a-", "A", "a.b", "a_b", "ä", "a b"}) {
    EXPECT_FALSE(IsDnsLabel(bad)) << bad;
  }
  EXPECT_FALSE(IsDnsLabel(std::string(64, 'a')));
  EXPECT_FALSE(IsDnsLabel(absl::string_view("a\0b", 3)));
}

TEST(ValidationTest, ANameIsRequiredAndMustBeALabel) {
  Violations violations;
  CheckName("web", "metadata.name", violations);
  EXPECT_TRUE(violations.empty());
  CheckName("", "metadata.name", violations);
  CheckName("Web", "metadata.namespace", violations);
  ASSERT_EQ(violations.all().size(), 2u);
  EXPECT_EQ(violations.all()[0].description, "is required");
  EXPECT_EQ(violations.all()[1].field, "metadata.namespace");
}

TEST(ValidationTest, LabelKeysMayHaveAPrefix) {
  for (const char* good : {"a", "A.b_c-d", "example.com/team"}) {
    EXPECT_TRUE(IsLabelKey(good)) << good;
  }
  for (const char* bad : {"", "/a", "a/", "a/b/c", "_a", "Ex.com/a", "a..b/c"}) {
    EXPECT_FALSE(IsLabelKey(bad)) << bad;
  }
  EXPECT_FALSE(IsLabelKey(std::string(64, 'a')));
  EXPECT_TRUE(IsLabelValue(""));
  EXPECT_FALSE(IsLabelValue("a b"));
}

TEST(ValidationTest, PageSizeHasADefaultAndAMaximum) {
  EXPECT_THAT(PageSize(0), IsOkAndHolds(100));
  EXPECT_THAT(PageSize(7), IsOkAndHolds(7));
  EXPECT_THAT(PageSize(5000), IsOkAndHolds(1000));
  EXPECT_THAT(PageSize(-1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pageSize: ")));
}

bool Matches(absl::string_view selector, const LabelSelector::Labels& labels) {
  const auto parsed = LabelSelector::Parse(selector);
  CW_EXPECT_OK(parsed);
  return parsed.ok() && parsed->Matches(labels);
}

LabelSelector::Labels WebProd() {
  LabelSelector::Labels labels;
  labels["team"] = "web";
  labels["tier"] = "prod";
  labels["empty"] = "";
  return labels;
}

TEST(LabelSelectorTest, EachFormSelectsAsKubernetesDoes) {
  for (const char* yes : {"", " ", "team=web", "team==web", "team!=db", "other!=x", "tier",
                          "!other", "empty=", " team = web , tier != test ,!x"}) {
    EXPECT_TRUE(Matches(yes, WebProd())) << yes;
  }
  for (const char* no :
       {"team=db", "other=x", "team!=web", "other", "!tier", "team=", "team=web,tier=test"}) {
    EXPECT_FALSE(Matches(no, WebProd())) << no;
  }
}

TEST(LabelSelectorTest, BadSyntaxIsRefused) {
  for (const char* bad :
       {",", "a=b,", "=b", "!", "!a=b", "a=b=c", "a in (b)", "a=b c", "a!b", "a=!b", "-a=b"}) {
    EXPECT_THAT(LabelSelector::Parse(bad),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("labelSelector: ")))
        << bad;
  }
  EXPECT_THAT(LabelSelector::Parse(std::string(2000, 'a')),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace certwright::rpc
