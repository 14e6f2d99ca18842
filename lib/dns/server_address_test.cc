#include "lib/dns/server_address.h"

#include "lib/base/status_matchers.h"

namespace certwright::dns {
namespace {

using base::StatusIs;

TEST(ServerAddressTest, ReadsEveryFormAndWritesOne) {
  const std::pair<const char*, const char*> kCases[] = {
      {"192.0.2.1", "192.0.2.1:53"},       {"192.0.2.1:5353", "192.0.2.1:5353"},
      {"2001:DB8::1", "[2001:db8::1]:53"}, {"[2001:db8:0::1]", "[2001:db8::1]:53"},
      {"[::1]:65535", "[::1]:65535"},
  };
  for (const auto& [text, expected] : kCases) {
    CW_ASSERT_OK_AND_ASSIGN(const ServerAddress address, ParseServerAddress(text));
    EXPECT_EQ(address.ToString(), expected) << text;
  }
}

TEST(ServerAddressTest, RefusesNamesAndNonsense) {
  for (const char* text :
       {"", "ns1.example.test", "ns1:53", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536",
        "192.0.2.1:-1", "192.0.2", "[192.0.2.1]:53", "[::1", "::1]:53", "[]:53", "1.2.3.4:5x",
        "192.0.2.1: 53", "192.0.2.1:+53", "[::1]:53 "}) {
    EXPECT_THAT(ParseServerAddress(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
  EXPECT_THAT(ParseServerAddress(std::string("192.0.2.1\0:53", 13)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ParseNameserverTest, ReadsNamesAndAddresses) {
  struct Case {
    const char* text;
    const char* host;
    int port;
  };
  for (const Case& c : {Case{"192.0.2.1", "192.0.2.1", 53},
                        {"[2001:db8::1]:5300", "2001:db8::1", 5300},
                        {"2001:db8::1", "2001:db8::1", 53},
                        {"ns.Example.test", "ns.example.test", 53},
                        {"ns.example.test:5300", "ns.example.test", 5300}}) {
    CW_ASSERT_OK_AND_ASSIGN(const NameserverAddress nameserver, ParseNameserver(c.text));
    EXPECT_EQ(nameserver.host, c.host) << c.text;
    EXPECT_EQ(nameserver.port, c.port) << c.text;
  }
}

TEST(ParseNameserverTest, RefusesNonsense) {
  for (const char* text :
       {"", ":53", "ns.example.test:", "ns.example.test:0", "ns.example.test:99999",
        "ns.example.test: 53", "ns.example.test:+53", "a b", "ns:x", "[192.0.2.1]:53",
        "[ns.example.test]:53", "*.example.test", "192.0.2.256", "192.0.2:53",
        "b\u00fccher.example"}) {
    EXPECT_THAT(ParseNameserver(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
}

}  // namespace
}  // namespace certwright::dns
