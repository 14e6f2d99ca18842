// The headers of a CA's answers, its URLs, and the poll schedule made of them.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/link_header.h"
#include "lib/acme/poll.h"
#include "lib/acme/retry_after.h"
#include "lib/acme/url.h"
#include "lib/base/random.h"

namespace certwright::acme {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Sun, 06 Nov 1994 08:49:37 GMT.
const absl::Time kDate = absl::FromUnixSeconds(784111777);

// Fault 23.
TEST(RetryAfterTest, ReadsSecondsAndTheThreeFormsOfDate) {
  const absl::Time now = kDate - absl::Minutes(5);
  EXPECT_EQ(ParseRetryAfter("0", now), now);
  EXPECT_EQ(ParseRetryAfter(" 120 ", now), now + absl::Minutes(2));
  EXPECT_EQ(ParseRetryAfter("86400", now), now + absl::Hours(24));
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now), kDate);
  EXPECT_EQ(ParseRetryAfter("Sunday, 06-Nov-94 08:49:37 GMT", now), kDate);
  EXPECT_EQ(ParseRetryAfter("Sun Nov  6 08:49:37 1994", now), kDate);
}

// Fault 23.
TEST(RetryAfterTest, BoundsWhatIsFarAway) {
  const absl::Time latest = kDate + kMaxRetryAfter;
  EXPECT_EQ(ParseRetryAfter("1000000000000", kDate), latest);
  EXPECT_EQ(ParseRetryAfter("99999999999999999999999999", kDate), latest);
  EXPECT_EQ(ParseRetryAfter("Fri, 31 Dec 2049 23:59:59 GMT", kDate), latest);
}

// Fault 23.
TEST(RetryAfterTest, IgnoresGarbageNegativesAndThePast) {
  for (const char* value :
       {"", "abc", "-5", "1.5", "+3", "5 s", "0x10", "infinite-future", "now",
        "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:37", "Sun, 99 Nov 2094"}) {
    EXPECT_EQ(ParseRetryAfter(value, kDate), std::nullopt) << value;
  }
}

TEST(LinksByRelTest, TakesListsSeveralHeadersAndQuotedParameters) {
  EXPECT_THAT(LinksByRel({"<https://ca/1>;rel=\"alternate\", <https://ca/dir> ; rel=index",
                          "<https://ca/2>; title=\"a, \\\"b\\\" <c>; rel=x\"; REL=Alternate",
                          "< https://ca/3 >; anchor; rel=\"up alternate\"",
                          "<https://ca/1>;rel=alternate"},
                         "alternate"),
              ElementsAre("https://ca/1", "https://ca/2", "https://ca/3"));
  EXPECT_THAT(LinksByRel({"<https://ca/dir>;rel=index"}, "alternate"), IsEmpty());
}

TEST(LinksByRelTest, DropsTheRestOfAMalformedHeader) {
  EXPECT_THAT(LinksByRel({"<https://ca/1>;rel=up, https://ca/2;rel=up, <https://ca/3>;rel=up",
                          "<https://ca/4>;rel=\"up", "<https://ca/5", "", ",,", "<>;rel=up",
                          "<https://ca/6>;rel=up garbage"},
                         "up"),
              ElementsAre("https://ca/1"));
}

TEST(LinksByRelTest, OnlyTheFirstRelCounts) {
  EXPECT_THAT(LinksByRel({"<https://ca/1>;rel=up;rel=alternate"}, "alternate"), IsEmpty());
}

TEST(LinksByRelTest, KeepsABoundedNumber) {
  std::string header;
  for (int i = 0; i < 1000; ++i) header += "<https://ca/" + std::to_string(i) + ">;rel=up,";
  EXPECT_EQ(LinksByRel({header}, "up").size(), 32u);
}

TEST(UrlTest, OriginLeavesOutPathAndDefaultPort) {
  EXPECT_EQ(OriginOf("HTTPS://CA.Test:443/dir?x"), "https://ca.test");
  EXPECT_EQ(OriginOf("http://[::1]:14000/dir"), "http://[::1]:14000");
  EXPECT_TRUE(SameOrigin("https://ca.test/a", "https://ca.test:443/b"));
  EXPECT_FALSE(SameOrigin("https://ca.test/a", "http://ca.test/a"));
  EXPECT_FALSE(SameOrigin("nonsense", "nonsense"));
}

TEST(UrlTest, RefusesWhatIsNoHttpUrl) {
  for (const char* url :
       {"", "/path", "ftp://ca.test/", "https://", "https:///x", "https://user:pw@ca.test/",
        "https://%63a.test/", "https://192.0.2.1@ca.test/", "https://ca.test/a b",
        "https://ca.test/\r\nX: y", "javascript:alert(1)"}) {
    EXPECT_FALSE(IsHttpUrl(url)) << url;
  }
  EXPECT_FALSE(IsHttpUrl("https://ca.test/" + std::string(3000, 'x')));
  EXPECT_TRUE(IsHttpsUrl("https://ca.test/acme/order/1/2"));
  EXPECT_FALSE(IsHttpsUrl("http://ca.test/"));
}

// Fault 103.
TEST(ResolveCaUrlTest, ResolvesAgainstTheUrlOfTheRequest) {
  for (const auto& [reference, url] : {
           std::pair{"https://ca.test/order/1", "https://ca.test/order/1"},
           // As the CA spells it, which it will compare.
           {"https://CA.test:443/order/1", "https://CA.test:443/order/1"},
           {"https://ca.test/order/1#part", "https://ca.test/order/1"},
           {"/order/1", "https://ca.test:8443/order/1"},
           {"order/1?a=b", "https://ca.test:8443/acme/order/1?a=b"},
           {"../order/1", "https://ca.test:8443/order/1"},
           {"./1", "https://ca.test:8443/acme/1"},
           {"//other.test/order/1", "https://other.test/order/1"},
       }) {
    EXPECT_EQ(ResolveCaUrl("https://ca.test:8443/acme/new-order", reference, false), url)
        << reference;
  }
}

// Fault 103.
TEST(ResolveCaUrlTest, GivesNothingThatMayNotBeAsked) {
  for (const char* reference :
       {"", "#part", "http://ca.test/order/1", "ftp://ca.test/1", "mailto:a@ca.test",
        "https://user@ca.test/1", "//user@ca.test/1", "https:/order/1", "///order/1", "a b",
        "javascript:alert(1)", "https://ca.test/\r\nX: y"}) {
    EXPECT_EQ(ResolveCaUrl("https://ca.test/new-order", reference, false), std::nullopt)
        << reference;
  }
  EXPECT_EQ(ResolveCaUrl("http://ca.test/new-order", "/order/1", false), std::nullopt);
  EXPECT_EQ(ResolveCaUrl("http://ca.test/new-order", "/order/1", true),
            "http://ca.test/order/1");
  EXPECT_EQ(ResolveCaUrl("", "/order/1", true), std::nullopt);
}

TEST(NextPollDelayTest, GrowsFromTwentyMillisecondsToFiveSeconds) {
  base::FixedRandom random;
  auto delay = [&](int attempt) {
    return absl::ToInt64Milliseconds(NextPollDelay(attempt, std::nullopt, kDate, random));
  };
  EXPECT_EQ(delay(0), 20);
  EXPECT_EQ(delay(1), 34);
  EXPECT_EQ(delay(2), 57);
  EXPECT_EQ(delay(11), 5000);
  EXPECT_EQ(delay(1000000), 5000);
  EXPECT_EQ(delay(-3), 20);
}

TEST(NextPollDelayTest, JitterIsAFifth) {
  base::FixedRandom low(0);
  base::FixedRandom high(0.999999);
  EXPECT_EQ(NextPollDelay(0, std::nullopt, kDate, low), absl::Milliseconds(16));
  EXPECT_LT(NextPollDelay(0, std::nullopt, kDate, high), absl::Milliseconds(24));
}

TEST(NextPollDelayTest, ObeysRetryAfterWithinAMinute) {
  base::FixedRandom random;
  EXPECT_EQ(NextPollDelay(0, kDate + absl::Seconds(3), kDate, random), absl::Seconds(3));
  EXPECT_EQ(NextPollDelay(0, kDate + absl::Hours(24), kDate, random), absl::Seconds(60));
  // "Now" leaves the pace to us, or a CA could make us poll without pause.
  EXPECT_EQ(NextPollDelay(0, kDate, kDate, random), absl::Milliseconds(20));
}

}  // namespace
}  // namespace certwright::acme
