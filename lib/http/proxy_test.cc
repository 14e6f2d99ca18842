#include "lib/http/proxy.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::http {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(ProxyTest, ItsUrlAlwaysHasItsPort) {
  struct Case {
    const char* url;
    const char* normal;
    int port;
  };
  for (const Case& c : {Case{"http://proxy.test:3128", "http://proxy.test:3128", 3128},
                        {"http://Proxy.test/", "http://proxy.test:80", 80},
                        {"https://proxy.test", "https://proxy.test:443", 443},
                        {"http://[2001:db8::1]:8080", "http://[2001:db8::1]:8080", 8080}}) {
    CW_ASSERT_OK_AND_ASSIGN(const Proxy proxy, Proxy::Make(c.url, {}));
    EXPECT_EQ(proxy.url(), c.normal);
    EXPECT_EQ(proxy.port(), c.port);
  }
}

TEST(ProxyTest, RefusesWhatIsNoProxyWithoutQuotingIt) {
  for (const char* url : {"", "proxy.test:3128", "socks5://proxy.test:1080",
                          "http://user:hunter2@proxy.test:3128", "http://proxy.test:3128/path",
                          "http://proxy.test:3128/?hunter2", "http://:3128"}) {
    EXPECT_THAT(Proxy::Make(url, {}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("url: "), Not(HasSubstr("hunter2")))))
        << url;
  }
  for (const char* direct :
       {"", "*", "*.example.test", "10.0.0.0/33", "a b", "http://a.test"}) {
    EXPECT_THAT(Proxy::Make("http://proxy.test", {"a.test", direct}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("noProxy[1]: ")))
        << direct;
  }
}

TEST(ProxyTest, ServesAllButWhatIsExcepted) {
  CW_ASSERT_OK_AND_ASSIGN(
      const Proxy proxy,
      Proxy::Make("http://proxy.test",
                  {"corp.test", ".dot.test", "10.0.0.0/8", "192.0.2.1", "fd00::/8"}));
  struct Case {
    const char* host;
    bool served;
  };
  for (const Case& c : {Case{"ca.test", true},
                        {"corp.test", false},
                        {"corp.test.", false},
                        {"ca.corp.test", false},
                        {"notcorp.test", true},
                        {"corp.test.example", true},
                        {"dot.test", false},
                        {"a.dot.test", false},
                        {"10.1.2.3", false},
                        {"11.1.2.3", true},
                        {"192.0.2.1", false},
                        {"192.0.2.2", true},
                        {"fd00::1", false},
                        {"2001:db8::1", true}}) {
    EXPECT_EQ(proxy.Serves(c.host), c.served) << c.host;
  }
}

}  // namespace
}  // namespace certwright::http
