#include "lib/store/resource_key.h"

#include <string>

#include "absl/strings/escaping.h"
#include "lib/base/status_matchers.h"

namespace certwright::store {
namespace {

using base::IsOkAndHolds;
using base::StatusIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ResourceVersionTest, IsAStoreRevisionInDecimal) {
  EXPECT_THAT(ParseResourceVersion("0"), IsOkAndHolds(0));
  EXPECT_THAT(ParseResourceVersion("9223372036854775807"), IsOkAndHolds(INT64_MAX));
  for (const char* text :
       {"", "-1", "-0", "+7", "07", " 7", "7 ", "0x7", "7a", "9223372036854775808"}) {
    EXPECT_THAT(ParseResourceVersion(text), StatusIs(kInvalid)) << text;
  }
}

TEST(PageTokenTest, BringsBackThePosition) {
  for (const char* key : {"Widget/ns/a", "Widget//a", "Widget/ns/a:b"}) {
    CW_ASSERT_OK_AND_ASSIGN(const ListPosition position,
                            DecodePageToken(EncodePageToken({42, key}), "Widget/"));
    EXPECT_EQ(position.revision, 42);
    EXPECT_EQ(position.last_key, key);
  }
}

TEST(PageTokenTest, RefusesWhatNoListHasGivenOut) {
  const std::string token = EncodePageToken({42, "Widget/ns/a"});
  EXPECT_THAT(DecodePageToken(token, "Widget/other/"), StatusIs(kInvalid));
  for (const std::string& text :
       {std::string(), std::string("garbage"), token + "=", " " + token,
        absl::WebSafeBase64Escape("+42:Widget/ns/a"), absl::WebSafeBase64Escape("0:Widget/a"),
        absl::WebSafeBase64Escape("42Widget/ns/a"),
        EncodePageToken({42, "Widget/" + std::string(4000, 'a')})}) {
    EXPECT_THAT(DecodePageToken(text, "Widget/"), StatusIs(kInvalid)) << text;
  }
}

TEST(QueueKeyTest, NamesNamespaceAndName) {
  CW_ASSERT_OK_AND_ASSIGN(const ResourceName name, ParseQueueKey(QueueKey("ns", "a")));
  EXPECT_EQ(name.resource_namespace, "ns");
  EXPECT_EQ(name.name, "a");
  for (const char* text : {"", "a", "ns/", "ns/a/b"}) {
    EXPECT_THAT(ParseQueueKey(text), StatusIs(kInvalid)) << text;
  }
}

}  // namespace
}  // namespace certwright::store
