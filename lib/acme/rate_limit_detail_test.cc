#include "lib/acme/rate_limit_detail.h"

#include <string>

#include "gtest/gtest.h"

namespace certwright::acme {
namespace {

TEST(ParseRateLimitDetailTest, KnowsTheTextsOfLetsEncrypt) {
  const struct {
    const char* detail;
    RateLimitDetail expected;
  } cases[] = {
      {"too many new orders (300) from this account in the last 3h0m0s, retry after 1970-01-01 "
       "00:18:15 UTC: see https://letsencrypt.org/docs/rate-limits/#new-orders-per-account",
       {ReachedLimit::kOrdersPerAccount, ""}},
      {"too many certificates (50) already issued for \"Example.com\" in the last 168h0m0s, "
       "retry after 1970-01-01 00:18:15 UTC",
       {ReachedLimit::kCertificatesPerDomain, "example.com"}},
      {"too many certificates (50) already issued for \"192.0.2.1/32\" in the last 168h0m0s",
       {ReachedLimit::kCertificatesPerDomain, "192.0.2.1"}},
      {"too many certificates (50) already issued for \"2001:DB8:0::/64\" in the last 168h0m0s",
       {ReachedLimit::kCertificatesPerDomain, "2001:db8::/64"}},
      {"too many certificates already issued for: example.org: see https://letsencrypt.org/",
       {ReachedLimit::kCertificatesPerDomain, "example.org"}},
      {"too many certificates (5) already issued for this exact set of identifiers in the last "
       "168h0m0s, retry after 1970-01-01 00:18:15 UTC",
       {ReachedLimit::kCertificatesPerNameSet, ""}},
      {"too many certificates already issued for exact set of domains: a.example,b.example",
       {ReachedLimit::kCertificatesPerNameSet, ""}},
      {"too many failed authorizations (5) for \"www.example.com\" in the last 1h0m0s, retry "
       "after 1970-01-01 00:18:15 UTC",
       {ReachedLimit::kFailedValidations, "www.example.com"}},
      {"too many new registrations (10) from this IP address in the last 3h0m0s",
       {ReachedLimit::kOther, ""}},
  };
  for (const auto& one : cases) {
    const RateLimitDetail parsed = ParseRateLimitDetail(one.detail);
    EXPECT_EQ(static_cast<int>(parsed.limit), static_cast<int>(one.expected.limit))
        << one.detail;
    EXPECT_EQ(parsed.name, one.expected.name) << one.detail;
  }
}

TEST(ParseRateLimitDetailTest, WhatNamesNoLimitOrNoNameIsUnknown) {
  for (const std::string& detail :
       {std::string(), std::string("slow down"), std::string("too many certificates"),
        std::string("too many certificates (50) already issued for \"exam"),
        std::string("too many certificates (50) already issued for \"a b\" in the last 1h"),
        std::string("too many certificates (50) already issued for \"1.2.3.4/64x\""),
        std::string("too many failed authorizations recently"),
        std::string(5000, 'x') + "too many new orders"}) {
    EXPECT_EQ(ParseRateLimitDetail(detail), RateLimitDetail()) << detail;
  }
}

TEST(UnpauseUrlTest, IsTheLinkToTheSelfService) {
  const struct {
    std::string detail;
    std::optional<std::string> url;
  } cases[] = {
      {"Your account is temporarily prevented from requesting certificates for a.example. "
       "Please visit: https://portal.letsencrypt.org/sfe/v1/unpause?jwt=eyJ.eyJ.x-_y",
       "https://portal.letsencrypt.org/sfe/v1/unpause?jwt=eyJ.eyJ.x-_y"},
      {"see https://ca.example/help, then (https://ca.example/unpause?x=1).",
       "https://ca.example/unpause?x=1"},
      {"see \"https://ca.example/sfe/v2\"", "https://ca.example/sfe/v2"},
      {"see http://ca.example/sfe/v1/unpause?jwt=x", std::nullopt},
      {"see https://ca.example/help?next=/sfe/", std::nullopt},
      {"see https://user@ca.example/sfe/", std::nullopt},
      {"see https://", std::nullopt},
      {"see https://ca.example/sfe/" + std::string(3000, 'x'), std::nullopt},
      {"too many new orders", std::nullopt},
      {"", std::nullopt},
  };
  for (const auto& one : cases) EXPECT_EQ(UnpauseUrl(one.detail), one.url) << one.detail;
}

}  // namespace
}  // namespace certwright::acme
