// What the services do when the disk under a store is full or read-only, with real file
// systems: they say so, begin nothing, and go on by themselves once it can be written.
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using base::StatusIs;
using harness::Service;
using harness::World;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::Duration kTimeout = absl::Minutes(3);

// A file system of its own in memory, unmounted at the end.
class SmallDisk {
 public:
  SmallDisk() : folder_(harness::MakeFolder("disk")) {
    mounted_ = mount("tmpfs", folder_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV,
                     "size=24m,mode=0700") == 0;
    if (!mounted_) error_ = std::strerror(errno);
  }
  ~SmallDisk() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  const std::string& error() const { return error_; }
  const std::string& folder() const { return folder_; }

  // To the last page.
  void Fill() {
    std::ofstream ballast(Ballast(), std::ios::binary | std::ios::app);
    const std::string page(4096, 'b');
    while (ballast.write(page.data(), static_cast<std::streamsize>(page.size())).flush()) {
    }
  }
  void MakeRoom() { unlink(Ballast().c_str()); }
  bool SetReadOnly(bool read_only) {
    return mount("", folder_.c_str(), "", MS_REMOUNT | (read_only ? MS_RDONLY : 0),
                 "size=24m") == 0;
  }

 private:
  std::string Ballast() const { return folder_ + "/ballast"; }

  const std::string folder_;
  bool mounted_ = false;
  std::string error_;
};

class StoreFaultsTest : public testing::TestWithParam<Service> {
 protected:
  void SetUp() override {
    if (!disk_.mounted()) {
      GTEST_SKIP() << "NOT TESTED: a small disk cannot be mounted here: " << disk_.error();
    }
    harness::WorldOptions options;
    options.store_folders[static_cast<std::size_t>(GetParam())] = disk_.folder();
    CW_ASSERT_OK_AND_ASSIGN(world_, World::Start(std::move(options)));
    CW_ASSERT_OK(world_->CreateClusterIssuer(world_->MakeClusterIssuer({}, {})));
    CW_ASSERT_OK(Create("before"));
    CW_ASSERT_OK(world_->WaitUntilReady({"before"}, kTimeout));
  }

  static std::string DnsName(const std::string& name) { return name + ".example.test"; }
  // Notes those that were accepted.
  absl::Status Create(const std::string& name) {
    const absl::Status created =
        world_->CreateCertificate(World::MakeCertificate(name, {DnsName(name)}));
    if (created.ok()) accepted_.push_back(name);
    return created;
  }
  bool Serving(Service service) {
    auto stub = grpc::health::v1::Health::NewStub(world_->suite().channel(service));
    grpc::health::v1::HealthCheckResponse response;
    return stub->Check(harness::MakeContext().get(), {}, &response).ok() &&
           response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
  }

  SmallDisk disk_;
  std::unique_ptr<World> world_;
  std::vector<std::string> accepted_;
};

// Fault 92.
TEST_P(StoreFaultsTest, AFullDiskIsNamedBeginsNothingAndIsRecoveredFrom) {
  const Service service = GetParam();
  const pid_t process = world_->suite().process(service).pid();
  disk_.Fill();
  absl::Status refused;
  for (int i = 0; i < 100 && refused.ok() && Serving(service); ++i) {
    refused = Create(absl::StrCat("during", i));
  }
  ASSERT_TRUE(harness::WaitUntil([&] { return !Serving(service); }, kTimeout));
  if (service == Service::kIssuer) {
    EXPECT_THAT(Create("refused"),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         AllOf(HasSubstr(disk_.folder()), HasSubstr("full"))));
  }
  EXPECT_THAT(world_->suite().process(service).LogTail(50),
              AllOf(HasSubstr("the store cannot be written"), HasSubstr("is full")));

  // What is asked for now is not begun at the CA, unless only the solver's disk is full.
  for (int i = 0; i < 3; ++i) (void)Create(absl::StrCat("waiting", i));
  if (service != Service::kSolver) {
    const int orders = world_->pebble().CountOrders();
    EXPECT_FALSE(harness::WaitUntil([&] { return world_->pebble().CountOrders() > orders; },
                                    absl::Seconds(5)));
  }
  EXPECT_FALSE(Serving(service));

  disk_.MakeRoom();
  EXPECT_TRUE(harness::WaitUntil([&] { return Serving(service); }, absl::Seconds(30)));
  CW_ASSERT_OK(Create("after"));
  CW_ASSERT_OK(world_->WaitUntilReady(accepted_, kTimeout));
  for (const std::string& name : accepted_) {
    CW_ASSERT_OK_AND_ASSIGN(const auto secret, world_->GetSecret(name + "-tls"));
    CW_EXPECT_OK(world_->VerifySecret(secret, {DnsName(name)}));
  }
  EXPECT_TRUE(world_->suite().process(service).Running());
  EXPECT_EQ(world_->suite().process(service).pid(), process) << "it was not started again";
  EXPECT_GE(world_->pebble().CountOrders(), static_cast<int>(accepted_.size()));
  // One order may have been placed in the moment in which the disk was found full.
  EXPECT_LE(world_->pebble().CountOrders(), static_cast<int>(accepted_.size()) + 1);
}

// Fault 92.
TEST_P(StoreFaultsTest, AReadOnlyDiskStopsTheStartAndChangesNothing) {
  const Service service = GetParam();
  world_->suite().Kill(service);
  ASSERT_TRUE(disk_.SetReadOnly(true)) << std::strerror(errno);
  EXPECT_THAT(world_->suite().Restart(service),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(disk_.folder()), HasSubstr("Read-only file system"))));
  ASSERT_TRUE(disk_.SetReadOnly(false)) << std::strerror(errno);
  CW_ASSERT_OK(world_->suite().Restart(service));
  CW_ASSERT_OK(Create("after"));
  CW_EXPECT_OK(world_->WaitUntilReady(accepted_, kTimeout));
}

INSTANTIATE_TEST_SUITE_P(All, StoreFaultsTest, testing::ValuesIn(harness::kServices),
                         [](const auto& info) {
                           return std::string(harness::ServiceName(info.param));
                         });

}  // namespace
}  // namespace certwright
