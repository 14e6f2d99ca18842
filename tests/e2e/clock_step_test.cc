// The wall clock of all three services is set by a day in the middle of twenty issuances and
// set right again, as happens to machines that start without a clock of their own: every
// certificate gets Ready and nothing is left behind. libfaketime makes the clock of the
// processes.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
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
constexpr absl::Duration kTimeout = absl::Minutes(4);
constexpr char kFakeTime[] = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

class ClockStepTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    harness::WorldOptions options;
    options.nonce_reject_percent = 0;
    CW_ASSERT_OK_AND_ASSIGN(world_, World::Start(std::move(options)));
    Set(0);
    for (const Service service : harness::kServices) {
      world_->suite().SetEnvironment(service, {{"LD_PRELOAD", kFakeTime},
                                               {"FAKETIME_TIMESTAMP_FILE", ClockFile()},
                                               {"FAKETIME_CACHE_DURATION", "1"},
                                               {"FAKETIME_DISABLE_SHM", "1"},
                                               {"FAKETIME_DONT_FAKE_MONOTONIC", "1"}});
      world_->suite().Kill(service);
      CW_ASSERT_OK(world_->suite().Restart(service));
    }
  }

  std::string ClockFile() const { return absl::StrCat(world_->folder(), "/clock"); }

  // The services' wall clock, a second later, is the machine's plus this.
  void Set(int days) {
    harness::WriteFile(ClockFile(), absl::StrCat(days < 0 ? "" : "+", days, "d\n"));
  }

  std::unique_ptr<World> world_;
};

// How far the issuer service's wall clock is ahead, as what it writes down shows.
absl::Duration Ahead(World& world) {
  static int made = 0;
  issuer::v1::CreateSecretRequest request;
  request.mutable_secret()->mutable_metadata()->set_name(absl::StrCat("clock", made++));
  (*request.mutable_secret()->mutable_data())["a"] = "b";
  issuer::v1::CreateSecretResponse response;
  CW_EXPECT_OK(harness::FromGrpc(
      world.secrets().CreateSecret(harness::MakeContext().get(), request, &response)));
  const auto& made_at = response.secret().metadata().create_time();
  return absl::FromUnixSeconds(made_at.seconds()) - absl::Now();
}

// Fault 91.
TEST_P(ClockStepTest, NothingIsLostOrLeftBehind) {
  CW_ASSERT_OK_AND_ASSIGN(Fleet fleet, Fleet::Create(*world_, kCertificates));
  Set(GetParam());
  EXPECT_TRUE(harness::WaitUntil(
      [&] { return absl::AbsDuration(Ahead(*world_)) > absl::Hours(23); }, kTimeout))
      << "the clock was not set";
  if (GetParam() > 0) {
    CW_EXPECT_OK(fleet.WaitUntilReady(kTimeout));
  }
  Set(0);
  CW_ASSERT_OK(fleet.WaitUntilReady(kTimeout));
  EXPECT_THAT(fleet.Faults(kTimeout), IsEmpty());
  CW_ASSERT_OK_AND_ASSIGN(Fleet later, Fleet::Create(*world_, 4, "later"));
  CW_ASSERT_OK(later.WaitUntilReady(kTimeout));
  EXPECT_THAT(later.Faults(kTimeout), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Days, ClockStepTest, testing::Values(1, -1),
                         [](const auto& info) { return info.param > 0 ? "Forward" : "Back"; });

}  // namespace
}  // namespace certwright
