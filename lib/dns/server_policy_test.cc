#include "lib/dns/server_policy.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::dns {
namespace {

using base::StatusIs;
using testing::HasSubstr;

TEST(ServerPolicyTest, AllowsPublicAddressesAtPort53AndWhatIsConfigured) {
  const ServerPolicy strict;
  const ServerPolicy open(*http::AddressRanges::Parse({"10.0.0.0/8", "fd00::/8"}), {5353});
  struct Case {
    const char* server;
    // What a refusal names; null if it is allowed.
    const char* by_strict;
    const char* by_open;
  };
  for (const Case& c : {
           Case{"9.9.9.9", nullptr, nullptr},
           {"[2620:fe::fe]:53", nullptr, nullptr},
           {"9.9.9.9:5353", "dnsAllowedPorts", nullptr},
           {"9.9.9.9:22", "dnsAllowedPorts", "dnsAllowedPorts"},
           {"10.1.2.3", "dnsAllowedRanges", nullptr},
           {"10.1.2.3:5353", "dnsAllowedRanges", nullptr},
           {"10.1.2.3:22", "dnsAllowedRanges", "dnsAllowedPorts"},
           {"fd00::1", "dnsAllowedRanges", nullptr},
           {"127.0.0.1", "dnsAllowedRanges", "dnsAllowedRanges"},
           {"0.0.0.0", "dnsAllowedRanges", "dnsAllowedRanges"},
           {"169.254.169.254", "dnsAllowedRanges", "dnsAllowedRanges"},
           {"::1", "dnsAllowedRanges", "dnsAllowedRanges"},
           {"::ffff:127.0.0.1", "dnsAllowedRanges", "dnsAllowedRanges"},
           {"::ffff:10.0.0.1", "dnsAllowedRanges", nullptr},
           {"64:ff9b::7f00:1", "dnsAllowedRanges", "dnsAllowedRanges"},
           {"255.255.255.255", "dnsAllowedRanges", "dnsAllowedRanges"},
       }) {
    const ServerAddress server = *ParseServerAddress(c.server);
    const auto expect = [&](const absl::Status& status, const char* named) {
      if (named == nullptr) {
        CW_EXPECT_OK(status) << c.server;
      } else {
        EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(named)))
            << c.server;
      }
    };
    expect(strict.Check(server), c.by_strict);
    expect(open.Check(server), c.by_open);
  }
}

TEST(ServerPolicyTest, ThePortOfTheConfigurationNeedsNoLeave) {
  CW_EXPECT_OK(ServerPolicy().CheckAddress(*ParseServerAddress("9.9.9.9:5353")));
  EXPECT_THAT(ServerPolicy().CheckAddress(*ParseServerAddress("10.0.0.1:53")),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("the nameserver 10.0.0.1:53 is refused by policy")));
}

}  // namespace
}  // namespace certwright::dns
