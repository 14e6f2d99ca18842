#include "lib/pki/registered_domain.h"

#include "gtest/gtest.h"
#include "lib/pki/names.h"

namespace certwright::pki {
namespace {

TEST(RegisteredDomainTest, IsThePublicSuffixAndOneLabel) {
  const struct {
    const char* name;
    const char* domain;
  } cases[] = {
      {"example.com", "example.com"},
      {"www.example.com", "example.com"},
      {"a.b.c.example.com", "example.com"},
      {"*.example.com", "example.com"},
      {"*.www.example.com", "example.com"},
      // Suffixes of two labels.
      {"www.example.co.uk", "example.co.uk"},
      {"a.b.example.com.au", "example.com.au"},
      // A rule with a wildcard, *.ck, and its exception.
      {"shop.example.anything.ck", "example.anything.ck"},
      {"a.www.ck", "www.ck"},
      // Suffixes that companies give to their customers.
      {"blog.user.github.io", "user.github.io"},
      {"*.user.github.io", "user.github.io"},
      // Public suffixes are their own.
      {"com", "com"},
      {"co.uk", "co.uk"},
      {"github.io", "github.io"},
      {"*.github.io", "github.io"},
      // IDNs, below an ASCII suffix and below one of their own: 公司.cn.
      {"www.xn--bcher-kva.de", "xn--bcher-kva.de"},
      {"www.example.xn--55qx5d.cn", "example.xn--55qx5d.cn"},
      {"xn--55qx5d.cn", "xn--55qx5d.cn"},
      {"www.example.xn--p1ai", "example.xn--p1ai"},
      // A top level that the list does not know, as private CAs have.
      {"www.example.internal", "example.internal"},
      {"localhost", "localhost"},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(RegisteredDomain(one.name), one.domain) << one.name;
  }
}

TEST(RegisteredDomainTest, OfANameInUnicodeIsThatOfItsALabels) {
  const auto name = NormalizeDnsName("WWW.Bücher.Example.");
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(RegisteredDomain(*name), "xn--bcher-kva.example");
}

TEST(AddressUnitTest, IsTheAddressOrTheNetworkOf64Bits) {
  const struct {
    const char* address;
    const char* unit;
  } cases[] = {
      {"192.0.2.1", "192.0.2.1"},       {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
      {"2001:db8::1", "2001:db8::/64"}, {"::1", "::/64"},
      {"no address", "no address"},
  };
  for (const auto& one : cases) EXPECT_EQ(AddressUnit(one.address), one.unit) << one.address;
}

}  // namespace
}  // namespace certwright::pki
