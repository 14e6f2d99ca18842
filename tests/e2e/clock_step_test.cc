// The wall clock of all three services is set by a day in the middle of twenty
// issuances, and set right again later, as happens on machines that start without a clock of
// their own: every certificate gets Ready, and nothing is left behind.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/fakes/fake_world.h"

namespace certwright {
namespace {

using fakes::FakeWorld;
using harness::Service;
using ::testing::IsEmpty;

constexpr int kCertificates = 20;
constexpr absl::Duration kTimeout = absl::Minutes(4);

// What tests/harness/set_clock.cc reads, in place.
class ClockFile {
 public:
  explicit ClockFile(std::string path) : path_(std::move(path)) {
    harness::WriteFile(path_, std::string(sizeof(int64_t), '\0'));
    const int file = open(path_.c_str(), O_RDWR | O_CLOEXEC);
    seconds_ = static_cast<volatile int64_t*>(
        mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    close(file);
  }
  ~ClockFile() { munmap(const_cast<int64_t*>(seconds_), sizeof(int64_t)); }
  ClockFile(const ClockFile&) = delete;
  ClockFile& operator=(const ClockFile&) = delete;

  const std::string& path() const { return path_; }
  void Set(absl::Duration ahead) { *seconds_ = absl::ToInt64Seconds(ahead); }

 private:
  const std::string path_;
  volatile int64_t* seconds_ = nullptr;
};

class ClockStepTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    CW_ASSERT_OK_AND_ASSIGN(world_, FakeWorld::Start({}));
    fakes::Behaviour behaviour;
    // Let's Encrypt's; an order of a day would be over in the step.
    behaviour.order_lifetime = absl::Hours(24 * 7);
    world_->ca().SetBehaviour(behaviour);
    clock_ = std::make_unique<ClockFile>(absl::StrCat(world_->suite().folder(), "/clock"));
    const std::string library =
        absl::StrCat(std::getenv("TEST_SRCDIR"), "/certwright/tests/harness/libset_clock.so");
    for (const Service service : harness::kServices) {
      world_->suite().SetEnvironment(
          service, {{"LD_PRELOAD", library}, {"CERTWRIGHT_TEST_CLOCK", clock_->path()}});
      world_->suite().Kill(service);
      CW_ASSERT_OK(world_->suite().Restart(service));
    }
    CW_ASSERT_OK(world_->CreateClusterIssuer(world_->MakeClusterIssuer({"dns.example.test"})));
  }

  static std::string DnsName(const std::string& name, int i) {
    return absl::StrCat(name, i % 2 == 0 ? ".dns.example.test" : ".example.test");
  }

  void Create(const std::string& prefix, int count) {
    for (int i = 0; i < count; ++i) {
      const std::string name = absl::StrCat(prefix, i);
      CW_ASSERT_OK(
          world_->CreateCertificate(world_->MakeCertificate(name, {DnsName(name, i)})));
      names_.push_back(name);
    }
  }

  std::vector<std::string> Http01Names() const {
    std::vector<std::string> names;
    for (std::size_t i = 1; i < names_.size(); i += 2) names.push_back(names_[i]);
    return names;
  }

  // How far the issuer service's wall clock is ahead, as what it writes down shows.
  absl::Duration Ahead() {
    issuer::v1::CreateSecretRequest request;
    request.mutable_secret()->mutable_metadata()->set_name(absl::StrCat("clock", looks_++));
    (*request.mutable_secret()->mutable_data())["a"] = "b";
    issuer::v1::CreateSecretResponse response;
    CW_EXPECT_OK(harness::FromGrpc(
        world_->secrets().CreateSecret(harness::MakeContext().get(), request, &response)));
    const int64_t seconds = response.secret().metadata().create_time().seconds();
    return absl::FromUnixSeconds(seconds) - absl::Now();
  }

  void ExpectAllIsWell() {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      CW_EXPECT_OK(world_->VerifySecret(absl::StrCat(names_[i], "-tls"),
                                        {DnsName(names_[i], static_cast<int>(i))}));
    }
    EXPECT_TRUE(harness::WaitUntil(
        [&] {
          for (const auto& challenge : world_->ListChallenges()) {
            if (challenge.status().presented()) return false;
          }
          return true;
        },
        kTimeout))
        << "a proof is still presented";
    for (const std::string& name : names_) {
      EXPECT_THAT(
          world_->dns().TxtValues(absl::StrCat("_acme-challenge.", name, ".dns.example.test")),
          IsEmpty());
    }
  }

  std::unique_ptr<FakeWorld> world_;
  std::unique_ptr<ClockFile> clock_;
  std::vector<std::string> names_;
  int looks_ = 0;
};

// Fault 91.
TEST_P(ClockStepTest, NothingIsLostOrLeftBehind) {
  Create("c", kCertificates);
  clock_->Set(GetParam() * absl::Hours(24));
  EXPECT_GT(GetParam() * Ahead(), absl::Hours(23));
  // Until the clock is right, nameservers refuse signed updates (BADTIME), and of a CA's
  // certificates those that begin a day ahead are not taken; all else goes on.
  if (GetParam() > 0) {
    CW_EXPECT_OK(world_->WaitUntilReady(Http01Names(), kTimeout));
  }
  clock_->Set(absl::ZeroDuration());
  CW_EXPECT_OK(world_->WaitUntilReady(names_, kTimeout));
  Create("later", 4);
  CW_EXPECT_OK(world_->WaitUntilReady(names_, kTimeout));
  ExpectAllIsWell();
  // By now a library that reckons the time by the processor's counter between its looks at the
  // clock (absl::Now()) would do so: a call right after its look sees the new time
  // nevertheless.
  (void)Ahead();
  clock_->Set(GetParam() * absl::Hours(24));
  EXPECT_GT(GetParam() * Ahead(), absl::Hours(23));
}

INSTANTIATE_TEST_SUITE_P(Days, ClockStepTest, testing::Values(1, -1),
                         [](const auto& info) { return info.param > 0 ? "Forward" : "Back"; });

}  // namespace
}  // namespace certwright
