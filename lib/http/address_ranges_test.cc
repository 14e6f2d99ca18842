#include "lib/http/address_ranges.h"

#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::http {
namespace {

using base::StatusIs;

TEST(AddressRangesTest, ContainsWhatSharesThePrefix) {
  struct Case {
    const char* range;
    const char* address;
    bool contained;
  };
  for (const Case& c : {Case{"10.0.0.0/8", "10.255.1.2", true},
                        {"10.0.0.0/8", "11.0.0.0", false},
                        {"10.1.2.3/8", "10.9.9.9", true},
                        {"192.168.128.0/17", "192.168.255.1", true},
                        {"192.168.128.0/17", "192.168.127.1", false},
                        {"192.0.2.7", "192.0.2.7", true},
                        {"192.0.2.7", "192.0.2.8", false},
                        {"192.0.2.7/32", "192.0.2.7", true},
                        {"0.0.0.0/0", "203.0.113.9", true},
                        {"0.0.0.0/0", "2001:db8::1", false},
                        {"fd00::/8", "fdff::1", true},
                        {"fd00::/8", "fe00::1", false},
                        {"::1", "::1", true},
                        {"::/0", "127.0.0.1", false},
                        {"127.0.0.0/8", "::ffff:127.0.0.1", true},
                        {"127.0.0.0/8", "localhost", false},
                        {"127.0.0.0/8", "", false}}) {
    CW_ASSERT_OK_AND_ASSIGN(const AddressRanges ranges, AddressRanges::Parse({c.range}));
    EXPECT_EQ(ranges.Contains(c.address), c.contained) << c.range << " " << c.address;
  }
}

TEST(AddressRangesTest, ContainsNothingWithoutRanges) {
  EXPECT_FALSE(AddressRanges().Contains("127.0.0.1"));
}

TEST(AddressRangesTest, ContainsWhatAnyRangeDoes) {
  CW_ASSERT_OK_AND_ASSIGN(const AddressRanges ranges,
                          AddressRanges::Parse({"10.0.0.0/8", "fd00::/8"}));
  EXPECT_TRUE(ranges.Contains("10.0.0.1"));
  EXPECT_TRUE(ranges.Contains("fd00::1"));
}

TEST(AddressRangesTest, RefusesWhatIsNoRange) {
  for (const char* range :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "fd00::/129",
        "10.0.0.0/8/8", "10.0.0.0/8x", "example.test/8", "10.0.0.0/ 8", "10.0.0.0/+8"}) {
    EXPECT_THAT(AddressRanges::Parse({range}), StatusIs(absl::StatusCode::kInvalidArgument))
        << range;
  }
}

TEST(AddressRangesTest, PublicAddressesNeedNoRange) {
  CW_ASSERT_OK_AND_ASSIGN(const AddressRanges ranges, AddressRanges::Parse({"10.0.0.0/8"}));
  EXPECT_TRUE(ranges.PublicOrContains("9.9.9.9"));
  EXPECT_TRUE(ranges.PublicOrContains("10.1.2.3"));
  for (const char* address : {"127.0.0.1", "192.168.0.1", "::1", "::ffff:127.0.0.1", "x", ""}) {
    EXPECT_FALSE(ranges.PublicOrContains(address)) << address;
  }
}

}  // namespace
}  // namespace certwright::http
