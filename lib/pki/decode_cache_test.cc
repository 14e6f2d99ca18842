#include "lib/pki/decode_cache.h"

#include <string>

#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::pki {
namespace {

using base::IsOkAndHolds;
using base::StatusIs;

class DecodeCacheTest : public testing::Test {
 protected:
  absl::StatusOr<std::string> Get(const std::string& der) {
    return cache_.Get(der, [this](const std::string& bytes) -> absl::StatusOr<std::string> {
      ++decoded_;
      if (bytes.empty()) return absl::InvalidArgumentError("empty");
      return bytes + "!";
    });
  }

  DecodeCache<std::string> cache_{2};
  int decoded_ = 0;
};

TEST_F(DecodeCacheTest, DecodesTheSameBytesOnce) {
  EXPECT_THAT(Get("a"), IsOkAndHolds("a!"));
  EXPECT_THAT(Get("a"), IsOkAndHolds("a!"));
  EXPECT_EQ(decoded_, 1);
}

TEST_F(DecodeCacheTest, ForgetsWhatIsNotAskedForAgain) {
  for (const char* der : {"a", "b", "c", "d", "e"}) EXPECT_TRUE(Get(der).ok());
  EXPECT_THAT(Get("a"), IsOkAndHolds("a!"));
  EXPECT_EQ(decoded_, 6);
}

TEST_F(DecodeCacheTest, KeepsWhatIsAskedForAgain) {
  for (const char* der : {"a", "b", "a", "c", "a", "d", "a", "e", "a"})
    EXPECT_TRUE(Get(der).ok());
  EXPECT_EQ(decoded_, 5);
}

TEST_F(DecodeCacheTest, DoesNotKeepErrors) {
  EXPECT_THAT(Get(""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Get(""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(decoded_, 2);
}

}  // namespace
}  // namespace certwright::pki
