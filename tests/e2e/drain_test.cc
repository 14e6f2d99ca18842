// SIGTERM: the service is gone within 10 s, and no call fails at a client that tries again
// what was UNAVAILABLE.
#include <signal.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::Service;
using harness::World;

// A name that the CA asked for while no solver listened is tried again after a minute.
constexpr absl::Duration kTimeout = absl::Minutes(3);

// Reads Certificates over and over until told to stop, and waits a little after UNAVAILABLE;
// counts calls and those that failed with anything else.
class Client {
 public:
  explicit Client(World& world)
      : thread_([this, &world](const std::stop_token& stop) {
          while (!stop.stop_requested()) Call(world);
        }) {}

  int calls() const { return calls_; }
  int failed() const { return failed_; }
  // After Stop() only.
  const std::string& last_error() const { return last_error_; }
  void Stop() {
    thread_.request_stop();
    thread_.join();
  }

 private:
  void Call(World& world) {
    issuer::v1::ListCertificatesRequest request;
    issuer::v1::ListCertificatesResponse response;
    const grpc::Status status = world.certificates().ListCertificates(
        harness::MakeContext(absl::Seconds(20)).get(), request, &response);
    ++calls_;
    if (status.ok()) {
      backoff_ = absl::Milliseconds(10);
    } else if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
      harness::WaitUntil([] { return false; }, backoff_);
      backoff_ *= 2;
    } else {
      ++failed_;
      last_error_ = harness::FromGrpc(status).ToString();
    }
  }

  std::atomic<int> calls_ = 0;
  std::atomic<int> failed_ = 0;
  absl::Duration backoff_ = absl::Milliseconds(10);
  std::string last_error_;
  std::jthread thread_;
};

TEST(DrainTest, SigtermEndsTheServiceInTimeWithoutAFailedCall) {
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start({}));
  // A watch that is open must not keep the server from ending.
  const auto context = harness::MakeContext(absl::Minutes(2));
  auto watch = world->certificates().WatchCertificates(context.get(), {});
  issuer::v1::WatchCertificatesResponse event;
  ASSERT_TRUE(watch->Read(&event));
  Client client(*world);
  ASSERT_TRUE(harness::WaitUntil([&] { return client.calls() > 50; }, absl::Seconds(20)));

  const absl::Time start = absl::Now();
  world->suite().process(Service::kIssuer).Signal(SIGTERM);
  const auto status = world->suite().process(Service::kIssuer).Wait(absl::Seconds(10));
  ASSERT_THAT(status, base::IsOkAndHolds(0))
      << world->suite().process(Service::kIssuer).LogTail();
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  while (watch->Read(&event)) {
  }
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);

  CW_ASSERT_OK(world->suite().Restart(Service::kIssuer));
  const int before = client.calls();
  EXPECT_TRUE(
      harness::WaitUntil([&] { return client.calls() > before + 50; }, absl::Seconds(20)));
  client.Stop();
  EXPECT_EQ(client.failed(), 0) << client.last_error();
}

TEST(DrainTest, EveryServiceEndsCleanlyWhileItWorks) {
  for (const Service service : harness::kServices) {
    CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start({}));
    CW_ASSERT_OK(
        world->CreateClusterIssuer(world->MakeClusterIssuer({}, {"dns.example.test"})));
    std::vector<std::string> names;
    for (int i = 0; i < 10; ++i) {
      names.push_back(absl::StrCat("c", i));
      CW_ASSERT_OK(world->CreateCertificate(
          World::MakeCertificate(names.back(), {absl::StrCat(names.back(), ".example.test")})));
    }
    world->suite().process(service).Signal(SIGTERM);
    EXPECT_THAT(world->suite().process(service).Wait(absl::Seconds(10)), base::IsOkAndHolds(0))
        << harness::ServiceName(service) << ": " << world->suite().process(service).LogTail();
    CW_ASSERT_OK(world->suite().Restart(service));
    CW_EXPECT_OK(world->WaitUntilReady(names, kTimeout)) << harness::ServiceName(service);
  }
}

TEST(StartTest, APortInUseIsAClearError) {
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start({}));
  harness::ProcessSpec spec;
  spec.name = "second";
  const std::string folder = harness::MakeFolder("second");
  harness::WriteFile(
      folder + "/issuer.yaml",
      absl::StrCat("server: {listen: \"", world->suite().address(Service::kIssuer),
                   "\"}\nstore: {sqlite: {path: \"", folder,
                   "/issuer.db\"}}\norder: {address: \"127.0.0.1:1\"}\n"));
  spec.arguments = {
      absl::StrCat(std::getenv("TEST_SRCDIR"), "/certwright/services/issuer/certwright-issuer"),
      absl::StrCat("--config=", folder, "/issuer.yaml")};
  spec.log_file = folder + "/log";
  CW_ASSERT_OK_AND_ASSIGN(const auto second, harness::Process::Start(spec));
  EXPECT_THAT(second->Wait(absl::Seconds(10)), base::IsOkAndHolds(1));
  EXPECT_NE(second->LogTail().find("in use"), std::string::npos) << second->LogTail();
}

}  // namespace
}  // namespace certwright
