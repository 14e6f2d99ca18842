// One service killed in the middle of fifty issuances and started again: every certificate
// gets Ready, no order is placed twice, nothing is left behind.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::Service;
using harness::World;
using ::testing::IsEmpty;

constexpr int kCertificates = 50;
// A CA that asks for an HTTP-01 token in the very moment without a solver refuses the name;
// the next attempt is made after a minute.
constexpr absl::Duration kTimeout = absl::Minutes(4);

class CrashTest : public testing::TestWithParam<Service> {};

TEST_P(CrashTest, NothingIsLostDoubledOrLeftBehind) {
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start({}));
  // Half of the names are proven by DNS-01, half by HTTP-01.
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({}, {"dns.example.test"})));
  std::vector<std::string> names;
  std::vector<std::string> dns_names;
  for (int i = 0; i < kCertificates; ++i) {
    names.push_back(absl::StrCat("c", i));
    const bool dns = i % 2 == 0;
    const std::string name =
        absl::StrCat(names.back(), dns ? ".dns.example.test" : ".example.test");
    if (dns) dns_names.push_back(name);
    CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate(names.back(), {name})));
  }
  // In the middle: when some orders are known and not all are done.
  ASSERT_TRUE(harness::WaitUntil([&] { return world->ListOrders().size() >= 10; }, kTimeout));
  world->suite().Kill(GetParam());
  CW_ASSERT_OK(world->suite().Restart(GetParam()));
  CW_ASSERT_OK(world->WaitUntilReady(names, kTimeout));

  // One Order per certificate, besides those that the CA itself has refused.
  int orders = 0;
  for (const auto& order : world->ListOrders()) {
    if (order.status().state() != order::v1::ORDER_STATE_INVALID) ++orders;
  }
  EXPECT_EQ(orders, kCertificates);
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        for (const auto& challenge : world->ListChallenges()) {
          if (challenge.status().presented()) return false;
        }
        return true;
      },
      kTimeout))
      << "a proof is still presented";
  for (const std::string& name : dns_names) {
    EXPECT_THAT(world->TxtValues(name), IsEmpty()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, CrashTest, testing::ValuesIn(harness::kServices),
                         [](const auto& info) {
                           return std::string(harness::ServiceName(info.param));
                         });

}  // namespace
}  // namespace certwright
