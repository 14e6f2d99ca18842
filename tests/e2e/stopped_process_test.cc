// One service stopped for a minute in the middle of twenty issuances, as a hypervisor or a
// debugger does it, and let go again: it goes on, and nothing is lost, doubled or left behind.
#include <signal.h>

#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/harness/fleet.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::Fleet;
using harness::Service;
using harness::World;
using ::testing::IsEmpty;

constexpr int kCertificates = 20;
constexpr absl::Duration kStop = absl::Seconds(60);
// A name that the CA refused for want of an answer is tried again after a minute.
constexpr absl::Duration kTimeout = absl::Minutes(4);

class StoppedProcessTest : public testing::TestWithParam<Service> {};

// Fault 89.
TEST_P(StoppedProcessTest, GoesOnAfterAMinute) {
  harness::WorldOptions options;
  options.nonce_reject_percent = 0;
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start(std::move(options)));
  CW_ASSERT_OK_AND_ASSIGN(Fleet fleet, Fleet::Create(*world, kCertificates));
  ASSERT_TRUE(harness::WaitUntil([&] { return world->ListOrders().size() >= 5; }, kTimeout));
  harness::Process& process = world->suite().process(GetParam());
  process.Signal(SIGSTOP);
  EXPECT_FALSE(harness::WaitUntil([&] { return !process.Running(); }, kStop));
  process.Signal(SIGCONT);
  CW_ASSERT_OK(fleet.WaitUntilReady(kTimeout));
  EXPECT_THAT(fleet.Faults(kTimeout), IsEmpty());
  // An order that the CA was asked for by a request whose answer came too late is lost.
  const int refused = world->pebble().process().CountLogLines("set INVALID by invalid authz");
  EXPECT_GE(world->pebble().CountOrders(), kCertificates);
  EXPECT_LE(world->pebble().CountOrders(), kCertificates + refused + 1);
}

INSTANTIATE_TEST_SUITE_P(All, StoppedProcessTest, testing::ValuesIn(harness::kServices),
                         [](const auto& info) {
                           return std::string(harness::ServiceName(info.param));
                         });

}  // namespace
}  // namespace certwright
