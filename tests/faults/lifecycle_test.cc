// Starting and stopping: at random moments, with work in the stores, and where the start fails.
//
// CERTWRIGHT_LIFECYCLE_ROUNDS in the environment is how often the services are stopped. Under
// the sanitizers, which look for what is used after its end:
//   bazel test --config=asan --test_env=CERTWRIGHT_LIFECYCLE_ROUNDS=200 --test_timeout=7200
//     //tests/faults:lifecycle_test
// and the same with --config=tsan.
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "lib/base/file_descriptor.h"
#include "tests/faults/fault_test_world.h"

namespace certwright::fakes {
namespace {

using base::IsOkAndHolds;
using harness::Service;
using testing::AnyOf;

constexpr int kRounds = 9;
// drainGrace of the services, and what they have beyond it.
constexpr absl::Duration kLongestEnd = absl::Seconds(5 + 1);
constexpr absl::Duration kLongestMoment = absl::Milliseconds(400);
constexpr int kEndedBySignal = 128 + SIGTERM;

class LifecycleTest : public testing::Test {
 protected:
  LifecycleTest() {
    FakeWorldOptions options;
    options.folder = harness::MakeFolder("lifecycle");
    for (const Service service : harness::kServices) {
      const std::string folder = AddressFolder(options.folder, service);
      std::filesystem::create_directory(folder);
      options.server_config[static_cast<std::size_t>(service)] =
          absl::StrCat("addressFile: \"", folder, "/address\"");
    }
    folder_ = options.folder;
    // Orders that take a while are open when a service is stopped.
    options.ca.validation.assume_valid = true;
    world_ = StartWorld(std::move(options), {"dns.example.test"});
    Behaviour slow;
    slow.authorizations_valid_after = absl::Milliseconds(300);
    if (world_ != nullptr) world_->ca().SetBehaviour(slow);
  }

  static std::string AddressFolder(const std::string& folder, Service service) {
    return absl::StrCat(folder, "/address-", harness::ServiceName(service));
  }
  static int Rounds() {
    const char* given = std::getenv("CERTWRIGHT_LIFECYCLE_ROUNDS");
    int rounds = kRounds;
    if (given == nullptr) return rounds;
    EXPECT_TRUE(absl::SimpleAtoi(given, &rounds)) << given;
    return rounds;
  }

  void Order(const std::string& name) {
    const std::string zone = names_.size() % 2 == 0 ? ".dns" : "";
    CW_EXPECT_OK(world_->CreateCertificate(
        FakeWorld::MakeCertificate(name, {absl::StrCat(name, zone, ".example.test")})));
    names_.push_back(name);
  }
  void WaitForARandomMoment() {
    const double part = std::uniform_real_distribution<double>(0, 1)(random_);
    harness::WaitUntil([] { return false; }, part * kLongestMoment);
  }
  // Ends the service, which must be in time and, once it has begun, in good order.
  void Stop(Service service, bool may_not_have_begun) {
    harness::Process& process = world_->suite().process(service);
    const absl::Time start = absl::Now();
    process.Signal(SIGTERM);
    const auto status = process.Wait(2 * kLongestEnd);
    if (may_not_have_begun) {
      EXPECT_THAT(status, AnyOf(IsOkAndHolds(0), IsOkAndHolds(kEndedBySignal)))
          << harness::ServiceName(service) << ": " << process.LogTail(100);
    } else {
      EXPECT_THAT(status, IsOkAndHolds(0))
          << harness::ServiceName(service) << ": " << process.LogTail(100);
    }
    EXPECT_LE(absl::Now() - start, kLongestEnd) << harness::ServiceName(service);
  }
  void FailToStart(Service service) {
    CW_ASSERT_OK(world_->suite().Launch(service));
    harness::Process& process = world_->suite().process(service);
    EXPECT_THAT(process.Wait(absl::Minutes(1)), IsOkAndHolds(1)) << process.LogTail(100);
    EXPECT_GT(process.CountLogLines("cannot run"), 0) << process.LogTail(100);
  }
  // Where its address cannot be written: there is no folder, or one that is in the way.
  void FailToStartWithoutAnAddress(Service service, bool in_the_way) {
    const std::string folder = AddressFolder(folder_, service);
    std::filesystem::remove_all(folder);
    if (in_the_way) std::filesystem::create_directories(folder + "/address/full");
    FailToStart(service);
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
  }
  // Where somebody else has its port.
  void FailToStartWithoutAPort(Service service) {
    const std::string address = world_->suite().address(service);
    sockaddr_in taken{};
    taken.sin_family = AF_INET;
    taken.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int port = 0;
    ASSERT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    taken.sin_port = htons(static_cast<uint16_t>(port));
    const base::FileDescriptor holder(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int reuse = 1;
    ASSERT_EQ(setsockopt(holder.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse), 0);
    ASSERT_EQ(bind(holder.get(), reinterpret_cast<const sockaddr*>(&taken), sizeof taken), 0);
    ASSERT_EQ(listen(holder.get(), 1), 0);
    FailToStart(service);
  }

  std::string folder_;
  std::unique_ptr<FakeWorld> world_;
  std::vector<std::string> names_;
  std::mt19937 random_{std::random_device()()};
};

// Fault 116.
TEST_F(LifecycleTest, AServiceThatIsStoppedAtAnyMomentEndsInOrderAndGoesOnAfterwards) {
  ASSERT_NE(world_, nullptr);
  const int rounds = Rounds();
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    const Service service = harness::kServices[round % harness::kServices.size()];
    Order(absl::StrCat("c", round));
    WaitForARandomMoment();
    Stop(service, false);
    CW_ASSERT_OK(world_->suite().Launch(service));
    if (round % 2 == 0) {
      WaitForARandomMoment();
      Stop(service, true);
      CW_ASSERT_OK(world_->suite().Launch(service));
    }
    CW_ASSERT_OK(world_->suite().Restart(service));
  }
  ASSERT_FALSE(HasFailure());
  CW_EXPECT_OK(world_->WaitUntilReady(names_, absl::Minutes(5)));
}

// Fault 116.
TEST_F(LifecycleTest, AStartThatFailsWithWorkInTheStoreEndsInOrder) {
  ASSERT_NE(world_, nullptr);
  for (int round = 0; round < 3; ++round) {
    for (const Service service : harness::kServices) {
      SCOPED_TRACE(absl::StrCat(round, " ", harness::ServiceName(service)));
      Order(absl::StrCat("c", names_.size()));
      Stop(service, false);
      if (round == 2) {
        FailToStartWithoutAPort(service);
      } else {
        FailToStartWithoutAnAddress(service, /*in_the_way=*/round == 1);
      }
      CW_ASSERT_OK(world_->suite().Restart(service));
    }
  }
  CW_EXPECT_OK(world_->WaitUntilReady(names_, absl::Minutes(5)));
}

}  // namespace
}  // namespace certwright::fakes
