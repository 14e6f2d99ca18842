#include "lib/pki/name_constraints.h"

#include <utility>

#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/ip_range.h"

namespace certwright::pki {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(NameConstraintsTest, EveryEntryGetsItsOneSpelling) {
  NameConstraints constraints;
  constraints.permitted.dns_domains = {"B.example.", ".A.example", "b.example"};
  constraints.permitted.ip_ranges = {"192.0.2.0/24", "2001:DB8:0::/32", "0.0.0.0/0"};
  constraints.excluded.email_addresses = {"Jo@Example.com", ".Example.com", "example.com"};
  constraints.excluded.uri_domains = {".Example.com"};
  constraints.critical = false;
  CW_ASSERT_OK_AND_ASSIGN(NameConstraints normal, NormalizeNameConstraints(constraints));
  EXPECT_THAT(normal.permitted.dns_domains, ElementsAre(".a.example", "b.example"));
  EXPECT_THAT(normal.permitted.ip_ranges,
              ElementsAre("0.0.0.0/0", "192.0.2.0/24", "2001:db8::/32"));
  EXPECT_THAT(normal.excluded.email_addresses,
              ElementsAre(".example.com", "Jo@example.com", "example.com"));
  EXPECT_THAT(normal.excluded.uri_domains, ElementsAre(".example.com"));
  EXPECT_FALSE(normal.critical);
  CW_ASSERT_OK_AND_ASSIGN(NameConstraints again, NormalizeNameConstraints(normal));
  EXPECT_EQ(again, normal);
}

TEST(NameConstraintsTest, SaysWhichEntryIsWrong) {
  for (auto [member, entry] :
       std::vector<std::pair<std::vector<std::string> NameSubtrees::*, std::string>>{
           {&NameSubtrees::dns_domains, "*.example"},
           {&NameSubtrees::dns_domains, "a_b.example"},
           {&NameSubtrees::dns_domains, ""},
           {&NameSubtrees::dns_domains, "192.0.2.1"},
           {&NameSubtrees::ip_ranges, "192.0.2.1"},
           {&NameSubtrees::ip_ranges, "192.0.2.0/33"},
           {&NameSubtrees::ip_ranges, "192.0.2.0/"},
           {&NameSubtrees::ip_ranges, "192.0.2.0/ 8"},
           {&NameSubtrees::ip_ranges, "192.0.2.1/24"},
           {&NameSubtrees::ip_ranges, "2001:db8::/129"},
           {&NameSubtrees::email_addresses, "a b@example.com"},
           {&NameSubtrees::uri_domains, "https://example.com"},
       }) {
    NameConstraints permitted;
    permitted.permitted.*member = {entry};
    EXPECT_THAT(
        NormalizeNameConstraints(permitted),
        StatusIs(kInvalid, AllOf(HasSubstr("permitted"), HasSubstr("\"" + entry + "\""))));
    NameConstraints excluded;
    excluded.excluded.*member = {entry};
    EXPECT_THAT(NormalizeNameConstraints(excluded), StatusIs(kInvalid, HasSubstr("excluded")));
  }
}

TEST(NameConstraintsTest, RefusesWhatItCannotWrite) {
  NameConstraints constraints;
  constraints.other_kinds = {"permitted directoryName"};
  EXPECT_THAT(NormalizeNameConstraints(constraints),
              StatusIs(kInvalid, HasSubstr("permitted directoryName")));
  constraints.other_kinds.clear();
  constraints.excluded.dns_domains.resize(1001, "a.example");
  EXPECT_THAT(NormalizeNameConstraints(constraints), StatusIs(kInvalid, HasSubstr("1000")));
}

TEST(IpRangeTest, OctetsAreAddressAndMask) {
  EXPECT_EQ(IpRangeToOctets("192.0.2.0/25"), std::string("\xc0\0\2\0\xff\xff\xff\x80", 8));
  EXPECT_EQ(IpRangeFromOctets(std::string("\xc0\0\2\1\xff\xff\xff\x80", 8)), "192.0.2.0/25");
  EXPECT_EQ(IpRangeFromOctets(std::string("\xc0\0\2\1\xff\0\xff\0", 8)), "");
  EXPECT_EQ(IpRangeFromOctets("1234"), "");
  EXPECT_EQ(IpRangeFromOctets(IpRangeToOctets("2001:db8::/127")), "2001:db8::/127");
}

}  // namespace
}  // namespace certwright::pki
