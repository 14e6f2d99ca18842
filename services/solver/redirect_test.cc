#include "services/solver/redirect.h"

#include <string>

#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::solver {
namespace {

using base::StatusIs;

TEST(RedirectTest, ReadsWhereAUrlLeads) {
  struct Case {
    const char* url;
    const char* host;
    int port;
    bool https;
  };
  for (const Case& c : {Case{"http://a.test/x", "a.test", 80, false},
                        {"https://a.test/x", "a.test", 443, true},
                        {"HTTP://a.test:8080", "a.test", 8080, false},
                        {"http://[2001:db8::1]:81/", "2001:db8::1", 81, false},
                        {"http://192.0.2.7/", "192.0.2.7", 80, false}}) {
    CW_ASSERT_OK_AND_ASSIGN(const HttpTarget target, ParseHttpTarget(c.url));
    EXPECT_EQ(target.host, c.host) << c.url;
    EXPECT_EQ(target.port, c.port) << c.url;
    EXPECT_EQ(target.https, c.https) << c.url;
  }
}

TEST(RedirectTest, RefusesWhatACaWouldNotFetch) {
  for (const char* url :
       {"", "/x", "ftp://a.test/", "file:///etc/passwd", "http://", "http:///x",
        "http://user@a.test/", "http://a.test:0/", "javascript:1", "gopher://a.test/"}) {
    EXPECT_THAT(ParseHttpTarget(url), StatusIs(absl::StatusCode::kInvalidArgument)) << url;
  }
  EXPECT_THAT(ParseHttpTarget("http://a.test/" + std::string(3000, 'x')),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(RedirectTest, ResolvesALocationAgainstItsBase) {
  struct Case {
    const char* location;
    const char* url;
  };
  for (const Case& c : {Case{"https://b.test/y", "https://b.test/y"},
                        {"/y", "http://a.test/y"},
                        {"y?z=1", "http://a.test/d/y?z=1"},
                        {"//b.test/y", "http://b.test/y"},
                        {"https://b.test/y#part", "https://b.test/y"}}) {
    CW_ASSERT_OK_AND_ASSIGN(const HttpTarget target,
                            ResolveRedirect("http://a.test/d/x", c.location));
    EXPECT_EQ(target.url, c.url) << c.location;
  }
}

TEST(RedirectTest, RefusesALocationThatIsNone) {
  for (const char* location :
       {"ftp://b.test/", "http://b c.test/", "\x01", "mailto:a@b.test"}) {
    EXPECT_THAT(ResolveRedirect("http://a.test/d/x", location),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << location;
  }
}

}  // namespace
}  // namespace certwright::solver
