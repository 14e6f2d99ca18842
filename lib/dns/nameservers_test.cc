#include "lib/dns/nameservers.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/resolver_fake.h"
#include "lib/runtime/run_sync.h"

namespace certwright::dns {
namespace {

using testing::ElementsAre;

constexpr auto kA = RecordType::kA;
constexpr auto kAaaa = RecordType::kAaaa;
constexpr char kZone[] = "example.test";
constexpr char kServer[] = "192.0.2.53";
// One for the zone's NS records, and two for the addresses of each of its two nameservers.
constexpr std::size_t kQuestions = 5;

class NameserverFinderTest : public testing::Test {
 protected:
  NameserverFinderTest() {
    SetNameservers({60, 60});
    for (const char* name : {"ns0.test", "ns1.test"}) {
      resolver_.Set("", name, kA, Answering({AddressRecord(name, "198.51.100.1")}));
      resolver_.Set("", name, kAaaa, NoData("test"));
    }
  }

  // "ns0.test" and so on, each with this TTL.
  void SetNameservers(const std::vector<uint32_t>& ttls, const std::string& server = kServer) {
    std::vector<Record> records;
    for (const uint32_t ttl : ttls) {
      records.push_back(NsRecord(kZone, absl::StrCat("ns", records.size(), ".test")));
      records.back().ttl = ttl;
    }
    resolver_.Set(server, kZone, RecordType::kNs, Answering(records));
  }
  std::vector<std::string> Find(const std::string& server = kServer) {
    const auto found = runtime::RunSync(finder_.Find(
        runtime::Context::WithTimeout(clock_, absl::Seconds(10)), kZone, {server}));
    CW_EXPECT_OK(found);
    std::vector<std::string> names;
    if (!found.ok()) return names;
    for (const Nameserver& nameserver : *found) names.push_back(nameserver.name);
    return names;
  }
  // How many questions it takes to find them.
  std::size_t Cost() {
    const std::size_t before = resolver_.queries().size();
    EXPECT_THAT(Find(), ElementsAre("ns0.test", "ns1.test"));
    return resolver_.queries().size() - before;
  }

  base::FakeClock clock_;
  FakeDnsResolver resolver_;
  NameserverFinder finder_{resolver_, clock_};
};

TEST_F(NameserverFinderTest, TheyAreRememberedForTheLeastTtlAndHalfAMinuteAtMost) {
  const struct {
    std::vector<uint32_t> ttls;
    int seconds;
  } kCases[] = {{{60, 60}, 30}, {{86400, 30}, 30}, {{60, 5}, 5}, {{7, 60}, 7}, {{60, 0}, 0}};
  for (const auto& test : kCases) {
    clock_.Advance(absl::Minutes(1));
    SetNameservers(test.ttls);
    EXPECT_EQ(Cost(), kQuestions) << test.seconds;
    if (test.seconds > 0) {
      clock_.Advance(absl::Seconds(test.seconds) - absl::Milliseconds(1));
      EXPECT_EQ(Cost(), 0u) << test.seconds;
      clock_.Advance(absl::Milliseconds(1));
    }
    EXPECT_EQ(Cost(), kQuestions) << test.seconds;
  }
}

// It may be there a moment later.
TEST_F(NameserverFinderTest, NothingIsRememberedWhileAnAddressIsMissing) {
  for (const RecordType type : {kA, kAaaa}) {
    const Message good =
        type == kA ? Answering({AddressRecord("ns1.test", "198.51.100.1")}) : NoData("test");
    for (const Message& bad : {NxDomain("test"), Failing(Rcode::kServFail)}) {
      // Without an IPv6 address a nameserver is complete.
      if (type == kAaaa && bad.rcode == Rcode::kNxDomain) continue;
      resolver_.Set("", "ns1.test", type, bad);
      EXPECT_EQ(Cost(), kQuestions);
      EXPECT_EQ(Cost(), kQuestions);
    }
    resolver_.SetError("", "ns1.test", type, absl::UnavailableError("silent"));
    EXPECT_EQ(Cost(), kQuestions);
    EXPECT_EQ(Cost(), kQuestions);
    resolver_.Set("", "ns1.test", type, good);
  }
  EXPECT_EQ(Cost(), kQuestions);
  EXPECT_EQ(Cost(), 0u);
}

TEST_F(NameserverFinderTest, EachViewOfTheDnsIsRememberedAndForgottenForItself) {
  constexpr char kInside[] = "192.0.2.54";
  SetNameservers({60}, kInside);
  EXPECT_THAT(Find(), ElementsAre("ns0.test", "ns1.test"));
  EXPECT_THAT(Find(kInside), ElementsAre("ns0.test"));
  EXPECT_EQ(Cost(), 0u);
  finder_.Forget(kZone, {kInside});
  EXPECT_EQ(Cost(), 0u);
  finder_.Forget(kZone, {kServer});
  EXPECT_EQ(Cost(), kQuestions);
}

}  // namespace
}  // namespace certwright::dns
