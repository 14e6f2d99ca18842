#include "services/order/order_names.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::order {
namespace {

using base::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;

v1::OrderSpec SpecOf(const std::vector<std::string>& dns_names,
                     const std::string& common_name = "") {
  v1::OrderSpec spec;
  for (const std::string& name : dns_names) spec.add_dns_names(name);
  spec.set_common_name(common_name);
  return spec;
}

TEST(OrderedNamesTest, AreInOneSpellingAndWithoutDuplicates) {
  v1::OrderSpec spec = SpecOf({"B.Test.", "a.test", "b.test", "*.a.test"});
  spec.add_ip_addresses("2001:DB8::0:1");
  CW_ASSERT_OK_AND_ASSIGN(const pki::SubjectAltNames names, OrderedNames(spec));
  EXPECT_THAT(names.dns_names, ElementsAre("*.a.test", "a.test", "b.test"));
  EXPECT_THAT(names.ip_addresses, ElementsAre("2001:db8::1"));
}

TEST(OrderedNamesTest, HoldTheCommonNameIfItIsANameOrAnAddress) {
  EXPECT_THAT(OrderedNames(SpecOf({"a.test"}, "b.test"))->dns_names,
              ElementsAre("a.test", "b.test"));
  EXPECT_THAT(OrderedNames(SpecOf({"a.test"}, "192.0.2.1"))->ip_addresses,
              ElementsAre("192.0.2.1"));
  EXPECT_THAT(OrderedNames(SpecOf({"a.test"}, "A Company"))->dns_names, ElementsAre("a.test"));
  EXPECT_THAT(OrderedNames(SpecOf({"a.test"}, "Company"))->dns_names, ElementsAre("a.test"));
}

TEST(OrderedNamesTest, RefuseANameThatBreaksARule) {
  EXPECT_THAT(OrderedNames(SpecOf({"a..test"})), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(RequestDifferenceTest, TellsWhichNamesAreMissingOrTooMany) {
  pki::Csr csr{.der = "",
               .subject = {},
               .names = {},
               .usages = {},
               .is_ca = false,
               .public_key = pki::PublicKey(nullptr)};
  csr.names.dns_names = {"a.test", "c.test"};
  csr.subject.common_name = "a.test";
  pki::SubjectAltNames ordered;
  ordered.dns_names = {"a.test", "b.test"};
  EXPECT_THAT(RequestDifference(csr, ordered), HasSubstr("b.test"));
  EXPECT_THAT(RequestDifference(csr, ordered), HasSubstr("c.test"));
  csr.names.dns_names = {"B.test"};
  EXPECT_EQ(RequestDifference(csr, ordered), "") << "the common name counts, case does not";
}

TEST(DisplayNameTest, ShowsTheStarOfAWildcard) {
  v1::Authorization authorization;
  authorization.set_identifier("a.test");
  EXPECT_EQ(DisplayName(authorization), "a.test");
  authorization.set_wildcard(true);
  EXPECT_EQ(DisplayName(authorization), "*.a.test");
}

}  // namespace
}  // namespace certwright::order
