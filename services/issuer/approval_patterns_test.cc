#include "services/issuer/approval_patterns.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::issuer_service {
namespace {

using base::IsOkAndHolds;
using base::StatusIs;

TEST(MatchesPatternTest, AStarStandsForAnyNumberOfCharacters) {
  EXPECT_TRUE(MatchesPattern("", ""));
  EXPECT_TRUE(MatchesPattern("*", ""));
  EXPECT_TRUE(MatchesPattern("*", "anything"));
  EXPECT_TRUE(MatchesPattern("a*c", "abbc"));
  EXPECT_TRUE(MatchesPattern("a*b*c", "aXbYbZc"));
  EXPECT_TRUE(MatchesPattern("**a**", "bab"));
  EXPECT_FALSE(MatchesPattern("", "a"));
  EXPECT_FALSE(MatchesPattern("a*c", "abcd"));
  EXPECT_FALSE(MatchesPattern("a*b*c", "acb"));
  EXPECT_FALSE(MatchesPattern("A", "a"));
}

TEST(MatchesPatternTest, AStarAtTheBeginOfADomainIsForAllNamesBelowIt) {
  EXPECT_TRUE(MatchesPattern("*.example.com", "www.example.com"));
  EXPECT_TRUE(MatchesPattern("*.example.com", "a.b.example.com"));
  EXPECT_TRUE(MatchesPattern("*.example.com", "*.example.com"));
  EXPECT_FALSE(MatchesPattern("*.example.com", "example.com"));
  EXPECT_FALSE(MatchesPattern("*.example.com", "www.example.com.evil.test"));
  EXPECT_FALSE(MatchesPattern("*.example.com", "wwwexample.com"));
}

TEST(MatchesPatternTest, ManyStarsTakeNoLongTime) {
  std::string pattern;
  for (int i = 0; i < 1000; ++i) pattern += "*a";
  EXPECT_FALSE(MatchesPattern(pattern + "b", std::string(2000, 'a')));
}

TEST(ParsePatternTest, BringsWhatHasSeveralSpellingsIntoOne) {
  EXPECT_THAT(ParsePattern("Team-*"), IsOkAndHolds(std::string("Team-*")));
  EXPECT_THAT(ParseDnsPattern("*.Example.COM"), IsOkAndHolds(std::string("*.example.com")));
  EXPECT_THAT(ParseDnsPattern("*.bücher.example"),
              IsOkAndHolds(std::string("*.xn--bcher-kva.example")));
  EXPECT_THAT(ParseDnsPattern("bücher.example"),
              IsOkAndHolds(std::string("xn--bcher-kva.example")));
  EXPECT_THAT(ParseEmailPattern("Ann@Example.COM"),
              IsOkAndHolds(std::string("Ann@example.com")));
}

TEST(ParsePatternTest, RefusesWhatCanMatchNothing) {
  for (const char* bad : {"", "a\nb", "\x7f"}) {
    EXPECT_THAT(ParsePattern(bad), StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(ParseDnsPattern(bad), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(ParsePattern(std::string(2049, 'a')),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParsePattern("bücher"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseDnsPattern("bü*.example"), StatusIs(absl::StatusCode::kInvalidArgument));
}

meta::v1::IssuerRef Ref(const std::string& name, meta::v1::IssuerKind kind) {
  meta::v1::IssuerRef ref;
  ref.set_name(name);
  ref.set_kind(kind);
  return ref;
}

TEST(IssuerPatternTest, TellsTheKindsOfIssuersApart) {
  CW_ASSERT_OK_AND_ASSIGN(const IssuerPattern issuers, IssuerPattern::Parse("le-*"));
  CW_ASSERT_OK_AND_ASSIGN(const IssuerPattern cluster,
                          IssuerPattern::Parse("ClusterIssuer/le-*"));
  const auto issuer = Ref("le-prod", meta::v1::ISSUER_KIND_UNSPECIFIED);
  const auto cluster_issuer = Ref("le-prod", meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  EXPECT_TRUE(issuers.Matches(issuer));
  EXPECT_FALSE(issuers.Matches(cluster_issuer));
  EXPECT_FALSE(issuers.Matches(Ref("other", meta::v1::ISSUER_KIND_ISSUER)));
  EXPECT_TRUE(cluster.Matches(cluster_issuer));
  EXPECT_FALSE(cluster.Matches(issuer));
  for (const char* bad : {"", "ClusterIssuer/", "Issuer/a", "a/b"}) {
    EXPECT_THAT(IssuerPattern::Parse(bad).status(),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << bad;
  }
}

TEST(SubjectPatternTest, MatchesAttributesOfItsType) {
  const auto matches = [](const char* pattern, const char* oid, const char* value) {
    const absl::StatusOr<SubjectPattern> parsed = SubjectPattern::Parse(pattern);
    return parsed.ok() && parsed->Matches({oid, value});
  };
  EXPECT_TRUE(matches("O=Example*", "2.5.4.10", "Example Ltd"));
  EXPECT_TRUE(matches("o=Example*", "2.5.4.10", "Example Ltd"));
  EXPECT_TRUE(matches("2.5.4.10=*", "2.5.4.10", "Example Ltd"));
  EXPECT_TRUE(matches("O=a=b", "2.5.4.10", "a=b"));
  EXPECT_FALSE(matches("O=Example*", "2.5.4.11", "Example Ltd"));
  EXPECT_FALSE(matches("O=Example", "2.5.4.10", "example"));
  EXPECT_FALSE(matches("O=Example", "2.5.4.10", "Example "));
  for (const char* bad : {"", "O", "=x", "O=", "*=x", "E=x", " O=x", "2.5=x", "O=a\nb",
                          "1.2.840.113549.1.9.1=*"}) {
    EXPECT_EQ(SubjectPattern::Parse(bad).ok(), bad == std::string("2.5=x")) << bad;
  }
}

TEST(AddressRangeTest, ContainsWhatSharesThePrefix) {
  const auto contains = [](const char* range, const char* address) {
    const absl::StatusOr<AddressRange> parsed = AddressRange::Parse(range);
    return parsed.ok() && parsed->Contains(address);
  };
  EXPECT_TRUE(contains("192.0.2.0/24", "192.0.2.255"));
  EXPECT_FALSE(contains("192.0.2.0/24", "192.0.3.0"));
  EXPECT_TRUE(contains("192.0.2.77/24", "192.0.2.1"));
  EXPECT_TRUE(contains("192.0.2.128/25", "192.0.2.129"));
  EXPECT_FALSE(contains("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(contains("0.0.0.0/0", "10.0.0.1"));
  EXPECT_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(contains("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(contains("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(contains("192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(contains("192.0.2.1", "192.0.2.2"));
  EXPECT_TRUE(contains("2001:db8::1", "2001:db8:0::1"));
  EXPECT_FALSE(contains("192.0.2.0/24", "no address"));
  // An IPv4-mapped address is the IPv4 address.
  EXPECT_TRUE(contains("192.0.2.0/24", "::ffff:192.0.2.1"));
  EXPECT_FALSE(contains("::/1", "::ffff:192.0.2.1"));
  for (const char* bad :
       {"", "/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2/24", "a.example", "192.0.2.0/",
        "2001:db8::/129", "10.0.0.0/8 ", "::ffff:192.0.2.0/120"}) {
    EXPECT_THAT(AddressRange::Parse(bad).status(), StatusIs(absl::StatusCode::kInvalidArgument))
        << bad;
  }
}

}  // namespace
}  // namespace certwright::issuer_service
