#include "lib/http/url.h"

#include <string>

#include "gtest/gtest.h"

namespace certwright::http {
namespace {

TEST(ParseUrlTest, SaysWhereAUrlLeads) {
  struct Case {
    const char* text;
    const char* normal;
    const char* host;
    int port;
    const char* origin;
  };
  for (const Case& c : {
           Case{"HTTPS://CA.test:443/Dir?x#y", "https://ca.test:443/Dir?x", "ca.test", 443,
                "https://ca.test"},
           {"http://a.test", "http://a.test/", "a.test", 80, "http://a.test"},
           {"http://[2001:DB8::1]:81/", "http://[2001:db8::1]:81/", "2001:db8::1", 81,
            "http://[2001:db8::1]:81"},
           {"http://192.0.2.7/a/../b", "http://192.0.2.7/b", "192.0.2.7", 80,
            "http://192.0.2.7"},
           {"http://0xC0.0.519/", "http://192.0.2.7/", "192.0.2.7", 80, "http://192.0.2.7"},
           // Names that begin like an address.
           {"https://192.0.2.7.a.test/x", "https://192.0.2.7.a.test/x", "192.0.2.7.a.test", 443,
            "https://192.0.2.7.a.test"},
       }) {
    const std::optional<Url> url = ParseUrl(c.text);
    ASSERT_TRUE(url.has_value()) << c.text;
    EXPECT_EQ(url->text, c.normal);
    EXPECT_EQ(url->host, c.host);
    EXPECT_EQ(url->port, c.port);
    EXPECT_EQ(url->Origin(), c.origin);
  }
}

TEST(ParseUrlTest, RefusesWhatIsNoPlainHttpUrl) {
  for (const char* text : {"",
                           "/x",
                           "//a.test/",
                           "a.test",
                           "a.test:80",
                           "a.test/http://b.test/",
                           "http:",
                           "http://",
                           "http:/a.test",
                           "http:a.test",
                           "http:///a.test/",
                           "http://?x",
                           "ftp://a.test/",
                           "file:///etc/passwd",
                           "javascript:1",
                           "http://user@a.test/",
                           "http://u:p@a.test/",
                           "http://192.0.2.1@a.test/",
                           "http://a.test:80@b.test/",
                           "http://%61.test/",
                           "http://[fe80::1%25eth0]/",
                           "http://[v1.x]/",
                           "http://a.test:0/",
                           "http://a.test:65536/",
                           "http://a.test:x/",
                           "http://a.test\\@b.test/",
                           "http://a b.test/",
                           "http://a.test/ ",
                           "http://b\u00fccher.test/",
                           "http://a.test/\r\nX: y"}) {
    EXPECT_FALSE(ParseUrl(text).has_value()) << text;
  }
  EXPECT_FALSE(ParseUrl(std::string("http://a.test/\0", 15)).has_value());
  EXPECT_FALSE(ParseUrl("http://a.test/" + std::string(kMaxUrlBytes, 'x')).has_value());
}

TEST(ResolveUrlTest, ResolvesReferences) {
  const std::optional<Url> base = ParseUrl("http://a.test:8080/d/x?q");
  ASSERT_TRUE(base.has_value());
  for (const auto& [reference, text] : {
           std::pair{"https://b.test/y#z", "https://b.test/y"},
           {"//b.test/y", "http://b.test/y"},
           {"/y", "http://a.test:8080/y"},
           {"y?z=1", "http://a.test:8080/d/y?z=1"},
           {"../../y", "http://a.test:8080/y"},
           {"?z", "http://a.test:8080/d/x?z"},
           {"y?u=http://b.test/", "http://a.test:8080/d/y?u=http://b.test/"},
       }) {
    const std::optional<Url> url = ResolveUrl(*base, reference);
    ASSERT_TRUE(url.has_value()) << reference;
    EXPECT_EQ(url->text, text) << reference;
  }
}

// The examples of RFC 3986 §5.4, but for those that are no URL of HTTP or the base itself.
TEST(ResolveUrlTest, ResolvesAsTheRfcShows) {
  const std::optional<Url> base = ParseUrl("http://a/b/c/d;p?q");
  ASSERT_TRUE(base.has_value());
  for (const auto& [reference, text] : {
           std::pair{"g", "http://a/b/c/g"},
           {"./g", "http://a/b/c/g"},
           {"g/", "http://a/b/c/g/"},
           {"/g", "http://a/g"},
           {"//g", "http://g/"},
           {"?y", "http://a/b/c/d;p?y"},
           {"g?y", "http://a/b/c/g?y"},
           {"g?y#s", "http://a/b/c/g?y"},
           {";x", "http://a/b/c/;x"},
           {"g;x?y", "http://a/b/c/g;x?y"},
           {".", "http://a/b/c/"},
           {"./", "http://a/b/c/"},
           {"..", "http://a/b/"},
           {"../", "http://a/b/"},
           {"../g", "http://a/b/g"},
           {"../..", "http://a/"},
           {"../../g", "http://a/g"},
           {"../../../../g", "http://a/g"},
           {"/./g", "http://a/g"},
           {"/../g", "http://a/g"},
           {"g.", "http://a/b/c/g."},
           {"..g", "http://a/b/c/..g"},
           {"./../g", "http://a/b/g"},
           {"./g/.", "http://a/b/c/g/"},
           {"g/./h", "http://a/b/c/g/h"},
           {"g/../h", "http://a/b/c/h"},
           {"g;x=1/../y", "http://a/b/c/y"},
           {"g?y/../x", "http://a/b/c/g?y/../x"},
       }) {
    const std::optional<Url> url = ResolveUrl(*base, reference);
    ASSERT_TRUE(url.has_value()) << reference;
    EXPECT_EQ(url->text, text) << reference;
  }
}

TEST(ResolveUrlTest, RefusesReferencesThatAreNone) {
  const std::optional<Url> base = ParseUrl("http://a.test/" + std::string(2000, 'x') + "/");
  ASSERT_TRUE(base.has_value());
  for (const std::string& reference :
       {std::string(), std::string("ftp://b.test/"), std::string("mailto:a@b.test"),
        std::string("http:/y"), std::string("///y"), std::string("//u@b.test/"),
        std::string("\x01"), std::string("y z"), std::string(100, 'y')}) {
    EXPECT_FALSE(ResolveUrl(*base, reference).has_value()) << reference;
  }
}

}  // namespace
}  // namespace certwright::http
