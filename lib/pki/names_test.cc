#include "lib/pki/names.h"

#include <utility>

#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::pki {
namespace {

using base::IsOkAndHolds;
using base::StatusIs;
using testing::HasSubstr;
using testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// Fault 106.
TEST(NormalizeDnsNameTest, GivesTheOneSpelling) {
  for (auto [text, expected] : {
           std::pair{"example.com", "example.com"},
           {"EXAMPLE.Com.", "example.com"},
           {"*.Example.com", "*.example.com"},
           {"localhost", "localhost"},
           {"a-b.1x.example", "a-b.1x.example"},
           {"4.com", "4.com"},
           {"r3---sn.example", "r3---sn.example"},
           {"b\xc3\xbc"
            "cher.example",
            "xn--bcher-kva.example"},
           {"B\xc3\x9c"
            "CHER.Example.",
            "xn--bcher-kva.example"},
           {"xn--bcher-kva.example", "xn--bcher-kva.example"},
           {"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
           {"*.b\xc3\xbc"
            "cher.example",
            "*.xn--bcher-kva.example"},
           // Non-transitional: sharp s is a letter of its own, not "ss".
           {"fa\xc3\x9f.example", "xn--fa-hia.example"},
           // What IDNA 2008 does not have, and exists: emoji, symbols, unassigned characters.
           {"xn--e28h.example.test", "xn--e28h.example.test"},
           {"*.XN--LS8H.Example.test", "*.xn--ls8h.example.test"},
           {"www.xn--i-7iq.test.", "www.xn--i-7iq.test"},
           {"a.xn--7w7c.xn--e28h.test", "a.xn--7w7c.xn--e28h.test"},
           // Beside names in Unicode, too.
           {"xn--e28h.b\xc3\xbc"
            "cher.example",
            "xn--e28h.xn--bcher-kva.example"},
           // Ideographic full stops, also as the trailing dot.
           {"\xe4\xbe\x8b\xe3\x80\x82\xe4\xbe\x8b\xe3\x80\x82", "xn--fsq.xn--fsq"},
       }) {
    EXPECT_THAT(NormalizeDnsName(text), IsOkAndHolds(std::string(expected))) << text;
    EXPECT_THAT(NormalizeDnsName(expected), IsOkAndHolds(std::string(expected)));
  }
}

// Fault 106.
TEST(NormalizeDnsNameTest, SaysWhichRuleIsBroken) {
  const std::string label64(64, 'a');
  for (auto [text, rule] : std::vector<std::pair<std::string, std::string>>{
           {"", "is empty"},
           {".", "is empty"},
           {"*.", "is empty"},
           {"*", "\"*\""},
           {"a.*.example", "\"*\""},
           {"*a.example", "\"*\""},
           {"*.*.example", "\"*\""},
           {"*b\xc3\xbc.example", "is no internationalized domain name"},
           {"b_\xc3\xbc.example", "has a character other than"},
           {"\xef\xbc\x8a\xc3\xbc.example", "is no internationalized domain name"},
           {"a/xn--24.example", "has a character other than"},
           {"b\xc3\xbc.under_score", "has a character other than"},
           {"a..example", "empty label"},
           {".example", "empty label"},
           {"example..", "empty label"},
           {"-a.example", "hyphen"},
           {"a-.example", "hyphen"},
           {"a_b.example", "letters, digits and hyphens"},
           {"a b.example", "blank"},
           {"a/b.example", "letters, digits and hyphens"},
           {"192.0.2.1", "IP address"},
           {"2001:db8::1", "IP address"},
           {"[::1]", "IP address"},
           {"example.com:443", "IP address"},
           {"192.0.2.1.", "number"},
           {"192.0.2", "number"},
           {"0x7f", "number"},
           {"a.0x", "number"},
           {"192.0.2.0X1", "number"},
           {label64 + ".example", "63 octets"},
           {std::string("a\0b.example", 11), "blank or a control"},
           {"\xff\xfe.example", "internationalized"},
           // IDNA 2008 is for names in Unicode.
           {"\xf0\x9f\x98\x80.example", "internationalized"},
           {"i\xe2\x9d\xa4.example", "internationalized"},
           {"\xe2\x92\x88.example", "internationalized"},
           // A-labels that decode to nothing, to too much or to a control.
           {"xn--zz.example", "RFC 3492"},
           {"xn--24.example", "RFC 3492"},
           {"www.xn--999999999.example", "RFC 3492"},
           {"xn--a.example", "RFC 3492"},
           {"b\xc3\xbc.xn--zz", "RFC 3492"},
           {"xn--.example", "RFC 3492"},
           {"xn--" + std::string(60, 'a') + ".example", "63 octets"},
           {std::string(2000, 'a'), "too long"},
       }) {
    EXPECT_THAT(NormalizeDnsName(text), StatusIs(kInvalid, HasSubstr(rule))) << text;
  }
}

std::string Labels(int count, const std::string& label) {
  std::string name = label;
  for (int i = 1; i < count; ++i) name += "." + label;
  return name;
}

TEST(NormalizeDnsNameTest, LimitsAreExact) {
  const std::string name253 = Labels(3, std::string(63, 'a')) + "." + std::string(61, 'b');
  ASSERT_EQ(name253.size(), 253u);
  CW_EXPECT_OK(NormalizeDnsName(name253));
  CW_EXPECT_OK(NormalizeDnsName(name253 + "."));
  EXPECT_THAT(NormalizeDnsName(name253 + "b"), StatusIs(kInvalid, HasSubstr("253")));
  EXPECT_THAT(NormalizeDnsName("*." + name253), StatusIs(kInvalid, HasSubstr("253")));
  CW_EXPECT_OK(NormalizeDnsName(Labels(64, "a")));
  EXPECT_THAT(NormalizeDnsName(Labels(65, "a")), StatusIs(kInvalid, HasSubstr("64 labels")));
}

TEST(NormalizeDnsNameTest, MessageIsEscapedAndShort) {
  absl::Status status = NormalizeDnsName("a\nb\x1b.example").status();
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
  EXPECT_LT(NormalizeDnsName(std::string(5000, '\n')).status().message().size(), 600u);
}

TEST(NormalizeIpAddressTest, GivesTheOneSpelling) {
  for (auto [text, expected] : {std::pair{"192.0.2.1", "192.0.2.1"},
                                {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
                                {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
                                {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
                                {"::ffff:192.0.2.1", "192.0.2.1"},
                                {"::1", "::1"}}) {
    EXPECT_THAT(NormalizeIpAddress(text), IsOkAndHolds(std::string(expected)));
  }
}

TEST(NormalizeIpAddressTest, RefusesWhatIsNoAddress) {
  for (const std::string& text :
       {std::string(), std::string("192.0.2"), std::string("192.0.2.256"),
        std::string("192.0.2.01"), std::string("fe80::1%eth0"), std::string("[::1]"),
        std::string("192.0.2.1/32"), std::string("192.0.2.1\0x", 11), std::string(500, '1')}) {
    EXPECT_THAT(NormalizeIpAddress(text), StatusIs(kInvalid)) << text;
  }
}

TEST(IpAddressOctetsTest, AreTheAddressInNetworkOrder) {
  EXPECT_EQ(IpAddressToOctets("192.0.2.1"), std::string("\xc0\0\2\1", 4));
  EXPECT_EQ(IpAddressFromOctets(IpAddressToOctets("2001:db8::1")), "2001:db8::1");
  EXPECT_EQ(IpAddressFromOctets("12345"), "");
  EXPECT_EQ(IpAddressToOctets("x"), "");
}

TEST(NormalizeEmailTest, LowersTheDomainOnly) {
  EXPECT_THAT(NormalizeEmail("Jo.Doe+x@Example.COM."), IsOkAndHolds("Jo.Doe+x@example.com"));
  EXPECT_THAT(NormalizeEmail("a@b\xc3\xbc"
                             "cher.example"),
              IsOkAndHolds("a@xn--bcher-kva.example"));
}

TEST(NormalizeEmailTest, SaysWhichRuleIsBroken) {
  for (auto [text, rule] : std::vector<std::pair<std::string, std::string>>{
           {"example.com", "has no"},
           {"@example.com", "dot-atom"},
           {".a@example.com", "dot-atom"},
           {"a..b@example.com", "dot-atom"},
           {"a b@example.com", "dot-atom"},
           {"a@b@example.com", "dot-atom"},
           {std::string(65, 'a') + "@example.com", "64 octets"},
           {"a@", "domain"},
           {"a@-x", "domain"},
           {"a@*.example.com", "wildcard"},
           {std::string(64, 'a') + "@" + Labels(3, std::string(63, 'a')), "254"},
       }) {
    EXPECT_THAT(NormalizeEmail(text), StatusIs(kInvalid, HasSubstr(rule))) << text;
  }
}

// Fault 106.
TEST(MailtoUrlTest, EscapesWhatAUrlCannotHold) {
  for (const auto& [address, url] : {
           std::pair{"jo.doe@Example.test", "mailto:jo.doe@example.test"},
           {"j\xc3\xb6rg@example.test", "mailto:j%C3%B6rg@example.test"},
           {"\xe4\xbe\x8b@b\xc3\xbc"
            "cher.test",
            "mailto:%E4%BE%8B@xn--bcher-kva.test"},
           {"\xf0\x9f\x98\x80@xn--e28h.test", "mailto:%F0%9F%98%80@xn--e28h.test"},
           {"a+b!c$d'e*f-g_h~i@x.test", "mailto:a+b!c$d'e*f-g_h~i@x.test"},
           {"a%b?c#d&e=f/g@x.test", "mailto:a%25b%3Fc%23d%26e%3Df%2Fg@x.test"},
           {"{a|b}^`@x.test", "mailto:%7Ba%7Cb%7D%5E%60@x.test"},
       }) {
    EXPECT_THAT(MailtoUrl(address), IsOkAndHolds(std::string(url))) << address;
  }
}

// Fault 106.
TEST(MailtoUrlTest, RefusesWhatIsNoAddress) {
  for (const std::string& address :
       {std::string("nobody"), std::string("\xff@x.test"), std::string("a\xc2\x85@x.test"),
        std::string("a b@x.test"), std::string("a,b@x.test"), std::string("a@x.test,b@x.test"),
        std::string("a@*.x.test"), std::string("\xc3\xb6..a@x.test"), std::string("a\n@x.test"),
        std::string(33, '\xc3') + "@x.test"}) {
    EXPECT_THAT(MailtoUrl(address), StatusIs(kInvalid)) << address;
  }
  std::string longest;
  for (int i = 0; i < 32; ++i) longest += "\xc3\xb6";
  CW_EXPECT_OK(MailtoUrl(longest + "@x.test"));
  EXPECT_THAT(MailtoUrl("a" + longest + "@x.test"), StatusIs(kInvalid, HasSubstr("64 octets")));
}

TEST(NormalizeUriTest, LowersTheScheme) {
  EXPECT_THAT(NormalizeUri("SPIFFE://Trust.example/A%20b"),
              IsOkAndHolds("spiffe://Trust.example/A%20b"));
  EXPECT_THAT(NormalizeUri("urn:uuid:1"), IsOkAndHolds("urn:uuid:1"));
}

TEST(NormalizeUriTest, SaysWhichRuleIsBroken) {
  for (auto [text, rule] : std::vector<std::pair<std::string, std::string>>{
           {"", "no scheme"},
           {"/path", "no scheme"},
           {"1a:b", "no scheme"},
           {":b", "no scheme"},
           {"a:", "nothing after"},
           {"a:b c", "percent-encoded"},
           {"a:b%2", "percent-encoded"},
           {"a:b%zz", "percent-encoded"},
           {"a:\xc3\xbc", "percent-encoded"},
           {"a:" + std::string(2047, 'b'), "2048"},
       }) {
    EXPECT_THAT(NormalizeUri(text), StatusIs(kInvalid, HasSubstr(rule))) << text;
  }
}

TEST(NormalizeOtherNameTest, KeepsWhatFollowsTheRules) {
  OtherName upn{"1.3.6.1.4.1.311.20.2.3", "J\xc3\xb6@example.com"};
  EXPECT_THAT(NormalizeOtherName(upn), IsOkAndHolds(upn));
  CW_EXPECT_OK(NormalizeOtherName({"2.999.0", std::string(2048, 'a')}));
}

TEST(NormalizeOtherNameTest, SaysWhichRuleIsBroken) {
  for (const char* oid : {"", "1", "1.", ".1", "3.1", "1.40", "1.02", "1.2.x", "upn", "1..2"}) {
    EXPECT_THAT(NormalizeOtherName({oid, "x"}),
                StatusIs(kInvalid, HasSubstr("object identifier")))
        << oid;
  }
  EXPECT_THAT(NormalizeOtherName({"1.2.3", ""}), StatusIs(kInvalid, HasSubstr("no value")));
  EXPECT_THAT(NormalizeOtherName({"1.2.3", std::string(2049, 'a')}),
              StatusIs(kInvalid, HasSubstr("2048")));
  EXPECT_THAT(NormalizeOtherName({"1.2.3", "\xff"}), StatusIs(kInvalid, HasSubstr("UTF-8")));
  EXPECT_THAT(NormalizeOtherName({"1.2.3", std::string("\0", 1)}), StatusIs(kInvalid));
}

TEST(NormalizeNamesTest, OtherNamesAreSortedAndCompared) {
  SubjectAltNames names;
  names.other_names = {{"1.2.4", "a"}, {"1.2.3", "b"}, {"1.2.4", "a"}};
  EXPECT_FALSE(names.empty());
  CW_ASSERT_OK_AND_ASSIGN(SubjectAltNames normal, NormalizeNames(names));
  EXPECT_EQ(normal.other_names, (std::vector<OtherName>{{"1.2.3", "b"}, {"1.2.4", "a"}}));
  EXPECT_EQ(NameSetDifference(names, normal), "");
  EXPECT_EQ(NameSetDifference(names, {}), "missing otherName 1.2.3:b, otherName 1.2.4:a");
}

TEST(NormalizeNamesTest, SortsAndDropsDuplicates) {
  SubjectAltNames names;
  names.dns_names = {"b.example", "A.example", "B.EXAMPLE."};
  names.ip_addresses = {"::1", "127.0.0.1"};
  CW_ASSERT_OK_AND_ASSIGN(SubjectAltNames normal, NormalizeNames(names));
  EXPECT_EQ(normal.dns_names, (std::vector<std::string>{"a.example", "b.example"}));
  EXPECT_EQ(normal.ip_addresses, (std::vector<std::string>{"127.0.0.1", "::1"}));
  names.uris = {"nope"};
  EXPECT_THAT(NormalizeNames(names), StatusIs(kInvalid, HasSubstr("nope")));
}

TEST(NameSetDifferenceTest, IgnoresOrderAndRepetition) {
  SubjectAltNames a, b;
  a.dns_names = {"x.example", "y.example"};
  b.dns_names = {"y.example", "x.example", "y.example"};
  EXPECT_EQ(NameSetDifference(a, b), "");
}

TEST(NameSetDifferenceTest, NamesWhatIsMissingAndUnexpected) {
  SubjectAltNames expected, actual;
  expected.dns_names = {"a.example", "b.example"};
  actual.dns_names = {"b.example", "c.example"};
  actual.ip_addresses = {"192.0.2.1"};
  EXPECT_EQ(NameSetDifference(expected, actual),
            "missing a.example; unexpected IP 192.0.2.1, c.example");
}

TEST(NameSetDifferenceTest, KeepsKindsApart) {
  SubjectAltNames expected, actual;
  expected.ip_addresses = {"192.0.2.1"};
  actual.dns_names = {"192.0.2.1"};
  EXPECT_EQ(NameSetDifference(expected, actual), "missing IP 192.0.2.1; unexpected 192.0.2.1");
}

TEST(NameSetDifferenceTest, CountsWhatItDoesNotList) {
  SubjectAltNames expected;
  for (char c = 'a'; c < 'a' + 13; ++c) expected.dns_names.push_back(std::string(1, c));
  EXPECT_THAT(NameSetDifference(expected, {}), HasSubstr("j and 3 more"));
}

}  // namespace
}  // namespace certwright::pki
